package fill

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

const maxPath = "/proc/sys/net/netfilter/nf_conntrack_max"

// RaiseMax raises the number of flows that each namespace of the whole host may have to at least n, and returns what
// puts the old value back. Only benchmarks may do this, only as root, and only with the restore deferred: a process that
// is killed leaves the limit raised.
func RaiseMax(n int) (restore func() error, err error) {
	b, err := os.ReadFile(maxPath)
	if err != nil {
		return nil, fmt.Errorf("fill: %w", err)
	}
	old, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("fill: %s: %w", maxPath, err)
	}
	if old == 0 || old >= n { // 0 is no limit
		return func() error { return nil }, nil
	}
	if err := setMax(n); err != nil {
		return nil, err
	}
	return func() error { return setMax(old) }, nil
}

func setMax(n int) error {
	if err := os.WriteFile(maxPath, []byte(strconv.Itoa(n)), 0); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	return nil
}
