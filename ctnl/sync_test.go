package ctnl_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/table"

	"github.com/google/go-cmp/cmp"
)

var _ ctnl.Store = (*table.Table)(nil)

// A gate is a Store whose Apply can be made to wait: a reader that stands still.
type gate struct {
	*table.Table
	mu sync.Mutex
}

func (g *gate) Apply(now int64, evs []model.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.Table.Apply(now, evs)
}

// startSync runs a Syncer until the test ends. Its error is sent to the channel.
func startSync(t *testing.T, ns *ctnl.Netns, store ctnl.Store, opt ctnl.SyncOptions) (*ctnl.Syncer, <-chan error) {
	t.Helper()
	s, err := ctnl.NewSyncer(ns, store, opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	errc := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		errc <- s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return s, errc
}

// what is all of a flow that two snapshots at different times have in common.
type what struct {
	Reply  model.Tuple
	ID     uint32
	Mark   uint32
	Status model.Status
	State  model.State
	Helper string
}

func whatOf(f *model.Flow) what {
	return what{f.Reply(), f.ID, f.Mark, f.Status, f.State, f.Helper.String()}
}

// kernelFlows is the truth.
func kernelFlows(t *testing.T, ns *ctnl.Netns) map[model.Key]what {
	t.Helper()
	all := map[model.Key]what{}
	for _, e := range dump(t, ns, model.KernelFilter{}) {
		all[e.Flow.Key] = whatOf(&e.Flow)
	}
	return all
}

func tableFlows(tab *table.Table) map[model.Key]what {
	all := map[model.Key]what{}
	tab.Each(func(f *model.Flow, _ *model.Extra) bool {
		all[f.Key] = whatOf(f)
		return true
	})
	return all
}

// sameAsKernel waits until the table says that it is whole, and then holds it to the kernel's.
func sameAsKernel(t *testing.T, ns *ctnl.Netns, tab *table.Table) {
	t.Helper()
	eventually(t, "a whole table", func() bool {
		s := tab.Stats()
		return s.Loaded && !s.Stale && !s.Dumping
	})
	var diff string
	shortly(func() bool {
		diff = cmp.Diff(kernelFlows(t, ns), tableFlows(tab))
		return diff == ""
	})
	if diff != "" {
		t.Fatalf("table differs from the kernel (-kernel +table):\n%s", diff)
	}
}

// shortly polls cond for ten seconds: the last events are on their way.
func shortly(cond func() bool) {
	for end := time.Now().Add(10 * time.Second); !cond() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
}

func TestSyncLoadsSilentFlows(t *testing.T) {
	t.Parallel()
	_, ns, k := newKernel(t)
	if err := ns.SetSysctl("nf_conntrack_events", "0"); err != nil {
		t.Fatal(err)
	}
	fill(t, k, 3000)
	tab := table.New()
	startSync(t, ns, tab, ctnl.SyncOptions{Budget: -1})
	sameAsKernel(t, ns, tab)
	if n := tab.Stats().Flows; n != 3000 {
		t.Errorf("%d flows, want 3000", n)
	}
}

// TestSyncOverrun stops the reader of a tiny buffer again and again while flows are created, changed and destroyed,
// some of them born again with the same tuple. What is lost is repaired: afterwards both tables are equal.
func TestSyncOverrun(t *testing.T) {
	_, ns, k := newKernel(t)
	fill(t, k, 2000)
	g := &gate{Table: table.New()}
	startSync(t, ns, g, ctnl.SyncOptions{Budget: -1, Watch: ctnl.WatchOptions{RcvBuf: 16 << 10}})
	eventually(t, "the first dump", func() bool { return g.Stats().Loaded })
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 6 {
		if round%2 == 0 {
			g.mu.Lock()
		}
		churn(t, k, rng, 1500)
		if round%2 == 0 {
			g.mu.Unlock()
		}
	}
	sameAsKernel(t, ns, g.Table)
	s := g.Stats()
	if s.Lost == 0 || s.Gaps == 0 || s.Resyncs == 0 {
		t.Errorf("nothing was lost or repaired: %+v", s)
	}
}

// churn does n random things to the 2000 flows of fill.
func churn(t *testing.T, k *ctnl.Kernel, rng *rand.Rand, n int) {
	t.Helper()
	ctx := testContext(t)
	for n > 0 {
		some := 1 + rng.IntN(100)
		n -= some
		at := rng.IntN(2000)
		var err error
		switch rng.IntN(3) {
		case 0:
			_, err = k.CreateMany(ctx, some, func(i int, s *ctnl.Spec) { *s = *spec(nth(at + i)) })
		case 1:
			_, err = k.UpdateMany(ctx, some, func(i int, s *ctnl.Spec) {
				*s = *spec(nth(at + i))
				s.Flow.Mark, s.Has = rng.Uint32N(3), model.HasMark
			})
		case 2:
			targets := make([]ctnl.Target, some)
			for i := range targets {
				targets[i].Key = nth(at + i)
			}
			_, err = k.DeleteMany(ctx, targets, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestSyncExpires: flows without events end silently; asking for them finds out.
func TestSyncExpires(t *testing.T) {
	t.Parallel()
	_, ns, k := newKernel(t)
	if err := ns.SetSysctl("nf_conntrack_events", "0"); err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	short, long := spec(nth(1)), spec(nth(2))
	short.Timeout = 1
	for _, s := range []*ctnl.Spec{short, long} {
		if err := k.Create(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	tab := table.New()
	startSync(t, ns, tab, ctnl.SyncOptions{Budget: -1})
	eventually(t, "two flows", func() bool { return tab.Stats().Flows == 2 })
	eventually(t, "the short one to end", func() bool { return tab.Stats().Flows == 1 })
	if _, ok := tab.Get(long.Flow.Key); !ok {
		t.Error("the other flow is gone")
	}
}

// TestSyncFinds: a flow made without events is found by the dumps on a budget, and its end too.
func TestSyncFinds(t *testing.T) {
	t.Parallel()
	_, ns, k := newKernel(t)
	if err := ns.SetSysctl("nf_conntrack_events", "0"); err != nil {
		t.Fatal(err)
	}
	tab := table.New()
	startSync(t, ns, tab, ctnl.SyncOptions{Budget: 1})
	eventually(t, "the first dump", func() bool { return tab.Stats().Loaded })
	ctx := testContext(t)
	if err := k.Create(ctx, spec(nth(1))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the flow to be found", func() bool { return tab.Stats().Flows == 1 })
	if err := k.Delete(ctx, nth(1), 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end to be found", func() bool { return tab.Stats().Flows == 0 })
}

func TestResync(t *testing.T) {
	_, ns, k := newKernel(t)
	dumps := make(chan ctnl.DumpReport, 10)
	tab := table.New()
	s, _ := startSync(t, ns, tab, ctnl.SyncOptions{Budget: -1, Dumped: func(r ctnl.DumpReport) { dumps <- r }})
	if r := <-dumps; r.Err != nil || r.Lossy || !r.Next.IsZero() {
		t.Errorf("first dump: %+v", r)
	}
	fill(t, k, 10)
	s.Resync()
	r := <-dumps
	if r.Info.Rows != 10 || r.Result.Rows != 10 || r.CPU <= 0 {
		t.Errorf("dump: %+v", r)
	}
	if last, ok := s.LastDump(); !ok || last != r {
		t.Errorf("LastDump: %+v", last)
	}
}

// TestReborn makes and deletes one tuple 300 times; the kernel gives all of its lives the same ID.
func TestReborn(t *testing.T) {
	_, ns, k := newKernel(t)
	tab := table.New()
	startSync(t, ns, tab, ctnl.SyncOptions{Budget: -1})
	eventually(t, "the first dump", func() bool { return tab.Stats().Loaded })
	ctx := testContext(t)
	s := spec(key(model.ProtoTCP, "192.0.2.1:1000", "192.0.2.2:80"))
	ids := map[uint32]bool{}
	for i := range 300 {
		s.Flow.Mark, s.Has = uint32(i), s.Has|model.HasMark
		if err := k.Create(ctx, s); err != nil {
			t.Fatal(err)
		}
		e, err := k.Get(ctx, s.Flow.Key)
		if err != nil || e.Flow.Mark != uint32(i) {
			t.Fatalf("Get: mark %d, %v", e.Flow.Mark, err)
		}
		ids[e.Flow.ID] = true
		if i == 299 {
			break
		}
		if err := k.Delete(ctx, s.Flow.Key, e.Flow.ID); err != nil {
			t.Fatal(err)
		}
	}
	if len(ids) > 150 {
		t.Errorf("%d IDs for 300 lives: the kernel's IDs are better than thought", len(ids))
	}
	eventually(t, "all lives to be seen", func() bool { s := tab.Stats(); return s.New == 300 && s.Ended == 299 })
	sameAsKernel(t, ns, tab)
}

// TestSyncNetnsGone: a namespace whose process ended is let go.
func TestSyncNetnsGone(t *testing.T) {
	t.Parallel()
	name := fmt.Sprintf("ctview-test-gone-%d", os.Getpid())
	addNetns(t, name)
	ns, err := ctnl.OpenNetns(name)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	_, errc := startSync(t, ns, table.New(), ctnl.SyncOptions{})
	delNetns(t, name)
	select {
	case err := <-errc:
		if !errors.Is(err, ctnl.ErrNetnsGone) {
			t.Errorf("Run: %v, want ErrNetnsGone", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Run goes on in a namespace that is gone")
	}
}

// TestSyncSmall: the counters of a small table are kept fresh without dumping it, and what ended silently is found.
func TestSyncSmall(t *testing.T) {
	t.Parallel()
	l, ns, k := newKernel(t)
	for _, name := range []string{"nf_conntrack_acct", "nf_conntrack_events"} {
		if err := ns.SetSysctl(name, map[string]string{"nf_conntrack_acct": "1", "nf_conntrack_events": "0"}[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	server, err := l.ListenPacket("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	c, err := l.Dial(ctx, "udp", "", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("x"))
	tab := table.New()
	var dumps atomic.Int32
	startSync(t, ns, tab, ctnl.SyncOptions{Budget: 100, Dumped: func(ctnl.DumpReport) { dumps.Add(1) }})
	packets := func() (n uint64) {
		tab.Each(func(f *model.Flow, _ *model.Extra) bool { n += f.Packets[0]; return true })
		return n
	}
	eventually(t, "the flow", func() bool { return packets() > 0 && dumps.Load() > 0 })
	was, first := packets(), dumps.Load()
	_, _ = c.Write([]byte("x"))
	eventually(t, "the second packet to be counted", func() bool { return packets() > was })
	if n := dumps.Load(); n != first {
		t.Errorf("%d dumps after the first", n-first)
	}
	if err := k.Flush(ctx, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end", func() bool { return tab.Stats().Flows == 0 })
}
