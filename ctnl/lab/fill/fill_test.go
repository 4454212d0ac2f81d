package fill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ctview/ctnl/lab"
	"ctview/model"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

func testFiller(t testing.TB) (*lab.NS, *Filler) {
	t.Helper()
	n, err := lab.NewNS()
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(f.Close(), n.Close()); err != nil {
			t.Error(err)
		}
	})
	return n, f
}

var tupleText = regexp.MustCompile(`^(\w+) +\d+ (\d+) (?:([A-Z_]+) )?(src=\S+ dst=\S+ sport=\d+ dport=\d+) .*?mark=(\d+)(?: zone=(\d+))?`)

// dump returns what conntrack -L says of both families, one text for each flow in the form of want.
func dump(t *testing.T, n *lab.NS) map[string]bool {
	t.Helper()
	flows := map[string]bool{}
	for _, family := range []string{"ipv4", "ipv6"} {
		out, err := n.Command("conntrack", "-L", "-f", family).Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			m := tupleText.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("conntrack says %q", line)
			}
			flow := fmt.Sprintf("%s %s %s mark=%s zone=%s", m[1], m[3], m[4], m[5], m[6])
			if flows[flow] {
				t.Errorf("twice: %s", flow)
			}
			flows[flow] = true
		}
	}
	return flows
}

// want returns flow i as dump would.
func want(i int, mark uint32) string {
	k, a := Key(i), AttrsOf(i)
	tuple, state, zone := k.OrigTuple(), "", ""
	if k.Proto == model.ProtoTCP {
		state = model.StateName(k.Proto, a.State)
	}
	if k.Zone != 0 {
		zone = fmt.Sprint(k.Zone)
	}
	return fmt.Sprintf("%s %s src=%s dst=%s sport=%d dport=%d mark=%d zone=%s",
		k.Proto, state, tuple.SrcAddr(), tuple.DstAddr(), k.Sport, k.Dport, mark, zone)
}

func TestFill(t *testing.T) {
	n, f := testFiller(t)
	const flows = 3000
	if err := f.Create(t.Context(), 0, flows); err != nil {
		t.Fatal(err)
	}
	wanted := map[string]bool{}
	for i := range flows {
		wanted[want(i, AttrsOf(i).Mark)] = true
	}
	if diff := cmp.Diff(wanted, dump(t, n)); diff != "" {
		t.Errorf("after Create (-want +got):\n%s", diff)
	}
	if err := f.Update(t.Context(), 0, 1000, 77); err != nil {
		t.Fatal(err)
	}
	if err := f.Destroy(t.Context(), 500, flows); err != nil {
		t.Fatal(err)
	}
	wanted = map[string]bool{}
	for i := range 500 {
		wanted[want(i, 77)] = true
	}
	if diff := cmp.Diff(wanted, dump(t, n)); diff != "" {
		t.Errorf("after Update and Destroy (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	_, f := testFiller(t)
	if err := f.Create(t.Context(), 0, 10); err != nil {
		t.Fatal(err)
	}
	if err := f.Create(t.Context(), 5, 15); !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), "5 refused") {
		t.Errorf("flows that exist: %v; want EEXIST, 5 refused", err)
	}
	if err := f.Destroy(t.Context(), 100, 101); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a flow that does not: %v; want ENOENT", err)
	}
	if err := f.Create(t.Context(), MaxFlow, MaxFlow+1); err == nil {
		t.Error("a flow past the last was made")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Create(ended, 20, 30); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// The same Churn leaves the same flows, and those that it says.
func TestChurn(t *testing.T) {
	var first map[string]bool
	for range 2 {
		n, f := testFiller(t)
		done, err := f.Churn(t.Context(), Churn{Ops: 5000, From: 10, Live: 300, Seed: 7})
		if err != nil {
			t.Fatal(err)
		}
		if done.Ops() != 5000 || done.Refused != 0 || done.Updated < 500 || done.Destroyed < 500 {
			t.Errorf("%d created, %d updated, %d destroyed, %d refused", done.Created, done.Updated, done.Destroyed, done.Refused)
		}
		got := dump(t, n)
		if len(got) != len(done.Live) || done.Created-done.Destroyed != len(done.Live) {
			t.Errorf("%d flows; Churn says %d", len(got), len(done.Live))
		}
		if first == nil {
			first = got
		} else if diff := cmp.Diff(first, got); diff != "" {
			t.Errorf("the second time (-first +second):\n%s", diff)
		}
	}
}

func TestKeys(t *testing.T) {
	seen := map[model.Key]int{}
	for i := range 200_000 {
		k := Key(i)
		if j, ok := seen[k]; ok {
			t.Fatalf("flows %d and %d have the same key %+v", j, i, k)
		}
		seen[k] = i
	}
}

func TestRaiseMax(t *testing.T) {
	restore, err := RaiseMax(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := restore(); err != nil { // there was nothing to raise
		t.Error(err)
	}
}

func BenchmarkCreateDestroy(b *testing.B) {
	_, f := testFiller(b)
	for b.Loop() {
		if err := f.Create(b.Context(), 0, 10_000); err != nil {
			b.Fatal(err)
		}
		if err := f.Destroy(b.Context(), 0, 10_000); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/20_000, "µs/op")
}
