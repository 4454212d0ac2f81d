package ctnl_test

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/table"

	"golang.org/x/sys/unix"
)

// A recorder is a Sink that keeps everything.
type recorder struct {
	mu                      sync.Mutex
	evs                     []model.Event
	lost, forged, malformed uint64
	dumps                   int
	onLost                  func(n uint64)
}

func (r *recorder) Apply(_ int64, evs []model.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.evs = append(r.evs, evs...)
}

func (r *recorder) BeginDump(int64) {}

func (r *recorder) EndDump(int64, bool) table.DumpResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dumps++
	return table.DumpResult{}
}

func (r *recorder) Lost(_ int64, n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost += n
	if r.onLost != nil {
		r.onLost(n)
	}
}

func (r *recorder) Refuse(forged, malformed uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forged += forged
	r.malformed += malformed
}

// until polls cond under the lock.
func (r *recorder) until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	eventually(t, what, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return cond()
	})
}

// seen returns a copy of what was recorded.
func (r *recorder) seen() (evs []model.Event, lost uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.evs), r.lost
}

// eventually polls cond for half a minute.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// startWatch runs a Watcher until the test ends.
func startWatch(t *testing.T, ns *ctnl.Netns, opt ctnl.WatchOptions) (*ctnl.Watcher, *recorder) {
	t.Helper()
	w, err := ctnl.Watch(ns, opt)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	runWatch(t, w, r)
	return w, r
}

func runWatch(t *testing.T, w *ctnl.Watcher, r *recorder) {
	ctx, cancel := context.WithCancel(context.Background())
	errc := make(chan error, 1)
	go func() { errc <- w.Run(ctx, r) }()
	t.Cleanup(func() {
		cancel()
		if err := <-errc; err != nil {
			t.Errorf("Run: %v", err)
		}
		_ = w.Close()
	})
}

func TestWatchLife(t *testing.T) {
	_, ns, k := newKernel(t)
	w, r := startWatch(t, ns, ctnl.WatchOptions{})
	if n, forced := w.RcvBuf(); !forced || n > 2*ctnl.DefaultRcvBuf || n < 256<<10 {
		t.Errorf("receive buffer %d, forced %v", n, forced)
	}
	ctx := testContext(t)
	s := spec(key(model.ProtoTCP, "[2001:db8::1]:1000", "[2001:db8::2]:80"))
	if err := k.Create(ctx, s); err != nil {
		t.Fatal(err)
	}
	s.Flow.Mark, s.Has = 5, model.HasMark
	if err := k.Update(ctx, s); err != nil {
		t.Fatal(err)
	}
	if err := k.Delete(ctx, s.Flow.Key, 0); err != nil {
		t.Fatal(err)
	}
	r.until(t, "three events", func() bool { return len(r.evs) >= 3 })
	evs, _ := r.seen()
	for i, want := range []model.Kind{model.New, model.Update, model.Destroy} {
		e := &evs[i]
		if e.Kind != want || e.Flow.Key != s.Flow.Key || e.PortID == 0 {
			t.Errorf("event %d: %v of %+v by port %d; want %v", i, e.Kind, e.Flow.Key, e.PortID, want)
		}
	}
	if e := &evs[1]; e.Flow.Mark != 5 || e.Has.Has(model.HasCountersOrig) {
		t.Errorf("UPDATE: mark %d, has %b", e.Flow.Mark, e.Has)
	}
}

// TestOverrun stalls the reader while events overflow a tiny buffer: what arrives and what is reported lost is all
// there was.
func TestOverrun(t *testing.T) {
	_, ns, k := newKernel(t)
	w, err := ctnl.Watch(ns, ctnl.WatchOptions{RcvBuf: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	const flows = 2000
	fill(t, k, flows)
	r := &recorder{}
	runWatch(t, w, r)
	r.until(t, "all events to be read or lost", func() bool { return uint64(len(r.evs))+r.lost >= flows })
	evs, lost := r.seen()
	got := len(evs)
	if n := uint64(got) + lost; lost == 0 || n != flows {
		t.Errorf("%d events and %d lost make %d, want %d", got, lost, n, flows)
	}
	if err := k.Create(testContext(t), spec(key(model.ProtoUDP, "192.0.2.9:1", "192.0.2.9:2"))); err != nil {
		t.Fatal(err)
	}
	r.until(t, "an event after the loss", func() bool { return len(r.evs) == got+1 })
}

// fill makes n UDP flows, 10.0.0.0+i:1 to 192.0.2.2:53.
func fill(t *testing.T, k *ctnl.Kernel, n int) {
	t.Helper()
	failed, err := k.CreateMany(testContext(t), n, func(i int, s *ctnl.Spec) { *s = *spec(nth(i)) })
	if err != nil || len(failed) > 0 {
		t.Fatalf("fill: %v, %v", err, failed)
	}
}

func nth(i int) model.Key {
	k := key(model.ProtoUDP, "10.0.0.0:1", "192.0.2.2:53")
	binary.BigEndian.PutUint32(k.Src[12:], 10<<24+uint32(i))
	return k
}

// TestForged lets another process's socket send a NEW with nlmsg_pid 0 to the group: it must not be believed.
func TestForged(t *testing.T) {
	_, ns, k := newKernel(t)
	_, r := startWatch(t, ns, ctnl.WatchOptions{})
	if err := k.Create(testContext(t), spec(key(model.ProtoTCP, "192.0.2.1:1", "192.0.2.2:2"))); err != nil {
		t.Fatal(err)
	}
	r.until(t, "the true event", func() bool { return len(r.evs) == 1 })
	err := ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		msg := binary.NativeEndian.AppendUint32(nil, 20)
		msg = binary.NativeEndian.AppendUint16(msg, 1<<8)
		msg = binary.NativeEndian.AppendUint16(msg, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
		msg = append(msg, make([]byte, 8)...)
		msg = append(msg, 2, 0, 0, 0)
		return unix.Sendto(fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1})
	})
	if err != nil {
		t.Fatal(err)
	}
	r.until(t, "the forged message", func() bool { return r.forged == 1 })
	r.until(t, "nothing else", func() bool { return len(r.evs) == 1 && r.malformed == 0 })
}
