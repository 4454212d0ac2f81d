package ctcompat

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"ctview/model/format"
)

const (
	procCount = "/proc/sys/net/netfilter/nf_conntrack_count"
	procStats = "net/stat/nf_conntrack" // below /proc/thread-self
)

// count is -C: the kernel's own number, or, where netlink refuses, that in /proc, which conntrack shows before it fails.
func (r *run) count(c *command) error {
	n, _, err := r.kernel.Count(r.ctx)
	if err == nil {
		fmt.Fprintf(r.out, "%d\n", n)
		return nil
	}
	var text []byte
	readErr := r.ns.Do(func() (err error) { text, err = os.ReadFile(procCount); return err })
	if readErr != nil {
		return failf("Can't open %s", procCount)
	}
	fmt.Fprintf(r.out, "%s\n", strings.TrimSpace(string(text)))
	return failed(c, err)
}

// stats is -S.
func (r *run) stats(c *command) error {
	read, app := r.kernel.CPUStats, format.AppendStats
	if c.op == expStats {
		read, app = r.kernel.ExpectStats, format.AppendExpectStats
	}
	all, err := read(r.ctx)
	for i := range all {
		_, _ = r.out.Write(append(app(nil, &all[i]), '\n'))
	}
	if err == nil {
		return nil
	}
	if r.ns.Do(r.printProcStats) != nil {
		return failf("Can't open /proc interface")
	}
	return failed(c, err)
}

// printProcStats prints /proc/net/stat/nf_conntrack as conntrack does where netlink refuses.
func (r *run) printProcStats() error {
	f, err := os.Open("/proc/thread-self/" + procStats)
	if err != nil {
		return err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Scan()
	names := strings.Fields(sc.Text())
	for cpu := 0; sc.Scan(); cpu++ {
		fmt.Fprintf(r.out, "cpu=%-4d\t", cpu)
		for i, hex := range strings.Fields(sc.Text()) {
			v, err := strconv.ParseUint(hex, 16, 64)
			if err != nil || i >= len(names) {
				break
			}
			fmt.Fprintf(r.out, "%s=%d ", names[i], uint32(v))
		}
		fmt.Fprint(r.out, "\n")
	}
	return sc.Err()
}
