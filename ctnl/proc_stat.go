package ctnl

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"ctview/model"
)

// procStatFile holds the counters of /proc/net/stat; unlike netlink it asks for no privilege.
const procStatFile = "/proc/thread-self/net/stat/nf_conntrack"

// procStatFields are the CTA_STATS_* numbers of the names in its head line (ct_cpu_seq_show, nf_conntrack_standalone.c).
// Names that newer kernels fill with zeros are left out.
var procStatFields = map[string]int{"found": 2, "invalid": 4, "insert": 8, "insert_failed": 9, "drop": 10,
	"early_drop": 11, "icmp_error": 12, "search_restart": 13, "clashres": 14, "chainlength": 15}

// ProcStats returns the per-CPU counters and the number of entries as /proc tells them to anybody. Errors wrap
// fs.ErrNotExist where the kernel was built without that file.
func (n *Netns) ProcStats() (cpus []model.CPUStats, entries uint32, err error) {
	var text []byte
	err = n.Do(func() (err error) {
		text, err = os.ReadFile(procStatFile)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("ctnl: statistics: %w", err)
	}
	return parseProcStats(string(text))
}

// parseProcStats reads a line of names and then one of hexadecimal numbers for each CPU.
func parseProcStats(text string) (cpus []model.CPUStats, entries uint32, err error) {
	head, rest, _ := strings.Cut(text, "\n")
	names := strings.Fields(head)
	for line := range strings.Lines(rest) {
		words := strings.Fields(line)
		if len(words) > len(names) || len(words) == 0 {
			return nil, 0, fmt.Errorf("ctnl: statistics: %w: %d numbers under %d names", ErrMalformed, len(words), len(names))
		}
		s := model.CPUStats{CPU: len(cpus)}
		for i, w := range words {
			v, err := strconv.ParseUint(w, 16, 32)
			if err != nil {
				return nil, 0, fmt.Errorf("ctnl: statistics: %w: %s is no number", ErrMalformed, strconv.Quote(w))
			}
			if names[i] == "entries" {
				entries = uint32(v)
			} else if n, ok := procStatFields[names[i]]; ok {
				s.Values[n], s.Has = uint32(v), s.Has|1<<n
			}
		}
		cpus = append(cpus, s)
	}
	return cpus, entries, nil
}
