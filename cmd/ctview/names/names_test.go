package names

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A book answers as a resolver would, and counts.
type book struct {
	names map[string][]string
	mu    sync.Mutex
	asked map[string]int
	open  atomic.Int32
	most  atomic.Int32
	gate  chan struct{} // if not nil, every answer waits for it
}

func (b *book) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	b.mu.Lock()
	if b.asked == nil {
		b.asked = map[string]int{}
	}
	b.asked[addr]++
	b.mu.Unlock()
	for n := b.open.Add(1); ; {
		m := b.most.Load()
		if n <= m || b.most.CompareAndSwap(m, n) {
			break
		}
	}
	defer b.open.Add(-1)
	if b.gate != nil {
		select {
		case <-b.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if n := b.names[addr]; n != nil {
		return n, nil
	}
	return nil, errors.New("no such host")
}

func (b *book) times(addr string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked[addr]
}

func TestName(t *testing.T) {
	long := strings.Repeat("a.", 200)
	b := &book{names: map[string][]string{
		"192.0.2.1": {"one.example.", "other.example."}, "2001:db8::1": {"six.example"}, "192.0.2.3": {".", long},
		"192.0.2.4": {long, "four.example."}, "192.0.2.5": {"evil\x1b[2J.example."},
	}}
	r := New(Options{LookupAddr: b.LookupAddr, Rate: 1e6})
	got := map[string]string{}
	for _, s := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1%eth0", "192.0.2.2", "192.0.2.3", "192.0.2.4",
		"192.0.2.5", "0.0.0.0", "224.0.0.1", "ff02::1", "255.255.255.255", "::"} {
		n, err := r.Name(context.Background(), netip.MustParseAddr(s))
		if (n == "") != errors.Is(err, ErrNoName) {
			t.Errorf("%s: name %q and error %v", s, n, err)
		}
		got[s] = n
	}
	want := map[string]string{"192.0.2.1": "one.example", "::ffff:192.0.2.1": "one.example", "2001:db8::1": "six.example",
		"fe80::1%eth0": "", "192.0.2.2": "", "192.0.2.3": "", "192.0.2.4": "four.example", "192.0.2.5": "evil\x1b[2J.example",
		"0.0.0.0": "", "224.0.0.1": "", "ff02::1": "", "255.255.255.255": "", "::": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	for _, s := range []string{"0.0.0.0", "224.0.0.1", "ff02::1", "::", "255.255.255.255"} {
		if b.times(s) != 0 {
			t.Errorf("%s was asked for", s)
		}
	}
	if n := b.times("192.0.2.1"); n != 1 {
		t.Errorf("asked %d times for one address", n)
	}
}

// TestTTL holds that names and the knowledge that there is none are forgotten in time.
func TestTTL(t *testing.T) {
	b := &book{names: map[string][]string{"192.0.2.1": {"one"}}}
	var now atomic.Int64
	r := New(Options{LookupAddr: b.LookupAddr, TTL: time.Minute, MissTTL: time.Second, Rate: 1e6,
		Now: func() time.Time { return time.Unix(now.Load(), 0) }})
	ask := func() {
		for _, s := range []string{"192.0.2.1", "192.0.2.2"} {
			_, _ = r.Name(context.Background(), netip.MustParseAddr(s))
		}
	}
	ask()
	ask()
	now.Store(2)
	ask()
	now.Store(62)
	ask()
	if h, m := b.times("192.0.2.1"), b.times("192.0.2.2"); h != 2 || m != 3 {
		t.Errorf("asked %d times for a name and %d times for none, want 2 and 3", h, m)
	}
}

// TestBounds asks for many addresses at once: never more at a time than allowed, each once, and the cache stays small.
func TestBounds(t *testing.T) {
	b := &book{names: map[string][]string{}}
	r := New(Options{LookupAddr: b.LookupAddr, Parallel: 3, Size: 100, Rate: 1e6})
	var addrs []netip.Addr
	for i := range 1000 {
		addrs = append(addrs, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	r.All(context.Background(), addrs)
	if m := b.most.Load(); m > 3 {
		t.Errorf("%d questions at once, want at most 3", m)
	}
	if n := len(r.known) + len(r.recent); n > 101 {
		t.Errorf("%d names kept, want at most 101", n)
	}
	for _, a := range addrs {
		if n := b.times(a.String()); n != 1 {
			t.Fatalf("%s: asked %d times", a, n)
		}
	}
}

// TestNotTwice holds that one question serves all who wait for it, and that a cut one is forgotten.
func TestNotTwice(t *testing.T) {
	b := &book{names: map[string][]string{"192.0.2.1": {"one"}}, gate: make(chan struct{})}
	r := New(Options{LookupAddr: b.LookupAddr, Rate: 1e6})
	addr := netip.MustParseAddr("192.0.2.1")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Name(ctx, addr); err == nil {
		t.Error("an answer after the end")
	}
	if _, ok := r.Cached(addr); ok {
		t.Error("a question that was cut short is known")
	}
	asked := b.times("192.0.2.1")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if i%2 == 0 {
				r.Start(context.Background(), addr)
				return
			}
			if n, err := r.Name(context.Background(), addr); n != "one" {
				t.Errorf("%q, %v", n, err)
			}
		})
	}
	close(b.gate)
	wg.Wait()
	if n, ok := r.Cached(addr); n != "one" || !ok {
		t.Errorf("cached %q, %v", n, ok)
	}
	if n := b.times("192.0.2.1") - asked; n != 1 {
		t.Errorf("asked %d times at once", n)
	}
}

// TestRate holds that questions are spread: of n questions all but the first wait for their turn.
func TestRate(t *testing.T) {
	b := &book{}
	now := time.Unix(1000, 0)
	r := New(Options{LookupAddr: b.LookupAddr, Rate: 100, Now: func() time.Time { return now }})
	for i := range 3 {
		_, _ = r.Name(context.Background(), netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i+1)))
	}
	if d := r.next.Sub(now); d != 30*time.Millisecond {
		t.Errorf("the fourth question waits %v, want 30ms", d)
	}
}

// TestSlow holds that a resolver that never answers costs no more than the timeout, and ends with ctx.
func TestSlow(t *testing.T) {
	b := &book{gate: make(chan struct{})}
	r := New(Options{LookupAddr: b.LookupAddr, Timeout: time.Millisecond})
	if _, err := r.Name(context.Background(), netip.MustParseAddr("192.0.2.1")); !errors.Is(err, ErrNoName) {
		t.Errorf("error %v, want %v", err, ErrNoName)
	}
	if _, ok := r.Cached(netip.MustParseAddr("192.0.2.1")); !ok {
		t.Error("a resolver that does not answer is asked again at once")
	}
}

// FuzzAnswer: whatever a resolver answers with (several names, separated by newlines here, and an error), a name is bounded,
// has no last dot, and is one of them; without one there is ErrNoName, and the question is not asked twice.
func FuzzAnswer(f *testing.F) {
	f.Add("host.example.\nother.example.", false)
	f.Add(".\n\n"+strings.Repeat("x", 300), true)
	f.Add("\x1b[2J\u202e.", false)
	addr := netip.MustParseAddr("192.0.2.1")
	f.Fuzz(func(t *testing.T, text string, fails bool) {
		told, asked := strings.Split(text, "\n"), 0
		r := New(Options{LookupAddr: func(context.Context, string) ([]string, error) {
			asked++
			if fails {
				return told, errors.New("a bad record")
			}
			return told, nil
		}})
		name, err := r.Name(context.Background(), addr)
		if again, ok := r.Cached(addr); again != name || !ok || asked != 1 {
			t.Fatalf("Cached: %q, %v after %d questions, want %q", again, ok, asked, name)
		}
		if (name == "") != errors.Is(err, ErrNoName) || len(name) > maxName || name != "" && !slices.Contains(told, name) && !slices.Contains(told, name+".") {
			t.Fatalf("%q, %v of %q", name, err, told)
		}
	})
}
