package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"
)

// TestNfcapd: nfdump's nfcapd reads a record of each flow that ended, and no other; addresses and ports are the kernel's.
func TestNfcapd(t *testing.T) {
	t.Parallel()
	ns := newNS(t)
	dir := t.TempDir()
	nfcapd := ns.Command("nfcapd", "-b", "127.0.0.1", "-p", "4739", "-l", dir, "-t", "3600")
	if err := nfcapd.Start(); err != nil {
		t.Fatalf("nfcapd (make test installs it): %v", err)
	}
	until(t, "nfcapd writes a file", func() bool {
		m, _ := filepath.Glob(dir + "/nfcapd*")
		return len(m) > 0
	})
	r := begin(t, ns, "--listen", defaultListen, "--ipfix", "127.0.0.1:4739")
	const n = 600
	f := fillNS(t, ns, n)
	want := map[string]bool{}
	for name := range tuples(t, ns) {
		want[name] = true
	}
	if err := f.Destroy(t.Context(), 0, n); err != nil {
		t.Fatal(err)
	}
	until(t, "all records are sent", func() bool { return r.must(t)[`ctview_ipfix_records_total{netns=""}`] >= n })
	if m := r.must(t); m[`ctview_ipfix_up{netns=""}`] != 1 || m[`ctview_ipfix_records_lost_total{netns="",reason="queue_full"}`] != 0 || m[`ctview_ipfix_unheard_ends_total{netns=""}`] != 0 {
		t.Errorf("up %v, lost %v", m[`ctview_ipfix_up{netns=""}`], m)
	}
	if err := nfcapd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = nfcapd.Wait() // what it wrote counts
	files, _ := filepath.Glob(dir + "/nfcapd.[0-9]*")
	got := 0
	for _, file := range files {
		out, err := exec.Command("nfdump", "-q", "-r", file, "-o", "fmt:%pr %sa %sp %da %dp", "-6", "-n", "0").CombinedOutput()
		if err != nil {
			t.Fatalf("nfdump: %v\n%s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			if w := strings.Fields(line); len(w) == 5 {
				got++
				if key := strings.ToLower(strings.Join(w, " ")); !want[key] {
					t.Errorf("the kernel had no flow %q", key)
				}
			}
		}
	}
	if got < n {
		t.Errorf("%d records, %d flows ended", got, n)
	}
}

// tuples are the original tuples of the kernel's flows, as nfdump writes them here.
func tuples(t *testing.T, ns *lab.NS) map[string]bool {
	t.Helper()
	m := map[string]bool{}
	err := ns.Do(func() error {
		n, err := ctnl.OpenNetns("")
		if err != nil {
			return err
		}
		defer n.Close()
		return ctnl.DumpTo(t.Context(), n, model.KernelFilter{}, func(evs []model.Event) error {
			for i := range evs {
				o := evs[i].Flow.Orig()
				m[fmt.Sprintf("%s %s %d %s %d", o.Proto, o.SrcAddr(), o.Sport, o.DstAddr(), o.Dport)] = true
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
