package lab

import (
	"fmt"
	"os"
	"strings"
)

// Sysctl writes a setting of the namespace; name is the path below /proc/sys ("net/netfilter/nf_conntrack_acct").
// Settings that the kernel shares between namespaces (nf_conntrack_max, nf_conntrack_buckets) are refused: a lab
// changes nothing of the host.
func (n *NS) Sysctl(name, value string) error {
	if strings.HasSuffix(name, "/nf_conntrack_max") || strings.HasSuffix(name, "/nf_conntrack_buckets") {
		return fmt.Errorf("lab: %s belongs to the whole host", name)
	}
	return n.Do(func() error {
		// No O_CREAT, no O_TRUNC: /proc knows neither.
		f, err := os.OpenFile("/proc/sys/"+name, os.O_WRONLY, 0)
		if err != nil {
			return fmt.Errorf("lab: %s: %w", n.name, refused(err))
		}
		_, err = f.WriteString(value)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("lab: %s: %w", n.name, err)
		}
		return nil
	})
}

// ReadSysctl returns a setting of the namespace without the newline.
func (n *NS) ReadSysctl(name string) (string, error) {
	var b []byte
	err := n.Do(func() (err error) {
		b, err = os.ReadFile("/proc/sys/" + name)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("lab: %s: %w", n.name, err)
	}
	return strings.TrimRight(string(b), "\n"), nil
}
