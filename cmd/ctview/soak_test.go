//go:build soak

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ctview/ctnl/lab"
	"ctview/ctnl/lab/fill"
	"ctview/ctnl/lab/labtest"

	"github.com/google/go-cmp/cmp"
)

const (
	soakRate     = 2000             // changes a second
	soakLive     = 1500             // flows, about
	soakRound    = 12 * time.Second // of churn and faults; then a calm moment
	soakPatience = 3 * time.Minute  // an hour must not be lost to a machine that is busy for a while
	soakBurst    = 2000             // flows that a burst changes, 53 times over: the largest event buffer holds 104,857
)

// A soak is the screen, events and record over one churning namespace.
type soak struct {
	t      *testing.T
	rng    *rand.Rand
	dir    string
	ns     *lab.NS // churns
	other  *lab.NS // is quiet, with three flows
	churn  *fill.Filler
	bursts *fill.Filler
	next   int           // number of the churn's next new flow
	live   []int         // flows that the churn left
	done   atomic.Uint64 // changes that the kernel made, one event each
	files  int
	faults map[string]int

	screen, events, record *soaked
	tm                     *terminal
	told, lost             atomic.Uint64 // by events
	recorded               bytes.Buffer  // what record says at its end
}

// TestSoak lets ctview run for SOAK_FOR (`make soak FOR=1h`) while flows churn and faults happen in random order. At calm
// moments the screen and the list say what the kernel has, and every event was told or counted as lost. In the end memory,
// descriptors, threads and goroutines are what they were.
func TestSoak(t *testing.T) {
	span := must(time.ParseDuration(os.Getenv("SOAK_FOR")))(t)
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("SOAK_SEED"); v != "" {
		seed = must(strconv.ParseUint(v, 10, 64))(t)
	}
	t.Logf("%v of SOAK_SEED=%d", span, seed)
	s := newSoak(t, seed)
	all := []*soaked{s.screen, s.events, s.record}
	began := time.Now()
	for round := 1; time.Since(began) < span; round++ {
		measured := watchAll(all)
		s.round()
		measured()
		s.calm()
		for _, p := range all {
			p.atRest(t)
		}
		if round%10 == 1 {
			t.Logf("%v: %d rounds, %d changes; %v", time.Since(began).Round(time.Second), round, s.done.Load(), all)
		}
	}
	t.Logf("%v: %d changes; events told %d and lost %d; faults: %v", time.Since(began).Round(time.Second), s.done.Load(), s.told.Load(), s.lost.Load(), s.faults)
	s.end()
	for _, p := range all {
		p.judge(t)
	}
}

func newSoak(t *testing.T, seed uint64) *soak {
	s := &soak{t: t, rng: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir(), faults: map[string]int{}}
	s.ns, s.churn = trackedNS(t)
	s.bursts = must(fill.Open(s.ns))(t)
	t.Cleanup(func() { _ = s.bursts.Close() })
	other := newTable(t)
	s.other = other.ns
	for i := range 3 {
		flow := established(fmt.Sprintf("192.0.2.%d:1000", i+1), "198.51.100.1:443")
		flow.Timeout = 7 * 24 * 3600
		labtest.Must(t, other.k.Create(t.Context(), flow))
	}

	s.screen = newSoaked(t, "screen", "--netns", s.ns.Path())
	s.tm = newTerminal(t, s.screen.cmd, 160, 35)
	s.tm.shows("LIVE")

	s.events = newSoaked(t, "events", "events", "--netns", s.ns.Path(), "-o", "json", "--buffer", "1M", "-q")
	lines := must(s.events.cmd.StdoutPipe())(t)
	labtest.Must(t, s.events.cmd.Start())
	go s.countEvents(lines)

	s.record = newSoaked(t, "record", "record", "-", "--netns", s.ns.Path(), "--buffer", "1M")
	s.record.cmd.Stderr, s.record.cmd.Stdout = &s.recorded, io.Discard
	labtest.Must(t, s.record.cmd.Start())
	for _, p := range []*soaked{s.events, s.record} {
		listening(t, p.cmd, s.ns)
		settle(t, p.cmd.Process.Pid)
	}
	return s
}

// countEvents reads what events prints.
func (s *soak) countEvents(r io.Reader) {
	for sc := bufio.NewScanner(r); sc.Scan(); {
		if !bytes.HasPrefix(sc.Bytes(), []byte(`{"event":"lost"`)) {
			s.told.Add(1)
			continue
		}
		var e struct{ Lost uint64 }
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			s.t.Errorf("%v in %s", err, sc.Bytes())
		}
		s.lost.Add(e.Lost)
	}
}

// round churns, with faults of random kinds at random moments.
func (s *soak) round() {
	for _, i := range s.live {
		labtest.Must(s.t, s.churn.Destroy(context.Background(), i, i+1))
		s.done.Add(1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), soakRound)
	defer cancel()
	var did fill.Churned
	var err error
	var churning sync.WaitGroup
	churning.Go(func() {
		did, err = s.churn.Churn(ctx, fill.Churn{Rate: soakRate, From: s.next, Live: soakLive, Seed: uint64(s.next)})
	})
	kinds := []struct {
		name string
		do   func()
	}{
		{"stopped", s.stopped}, {"overrun", s.overrun}, {"namespace changed", s.changed}, {"namespace gone", s.gone},
		{"ruleset flushed", s.flushed}, {"acct switched", s.acct}, {"keys", s.keys}, {"keys", s.keys}, {"size", s.size},
		{"list during churn", s.list}, {"recording read", s.recording},
	}
	for s.pause(ctx, time.Duration(s.rng.Int64N(int64(soakRound/8)))) {
		k := kinds[s.rng.IntN(len(kinds))]
		s.faults[k.name]++
		k.do()
	}
	churning.Wait()
	labtest.Must(s.t, err)
	if did.Refused > 0 {
		s.t.Fatalf("the kernel refused %d of the churn", did.Refused)
	}
	s.next += did.Created
	s.done.Add(uint64(did.Ops()))
	s.live = did.Live
}

// pause waits and reports whether ctx still stands.
func (s *soak) pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return ctx.Err() == nil
}

// eventually waits for ok without looking at the screen's changes.
func (s *soak) eventually(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(soakPatience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waiting for %s; the screen:\n%s", what, s.tm.screen())
		}
	}
}

// stopped stops one of the programs for a while.
func (s *soak) stopped() {
	p := []*soaked{s.screen, s.events, s.record}[s.rng.IntN(3)]
	labtest.Must(s.t, p.cmd.Process.Signal(syscall.SIGSTOP))
	time.Sleep(time.Duration(s.rng.Int64N(int64(3 * time.Second))))
	labtest.Must(s.t, p.cmd.Process.Signal(syscall.SIGCONT))
}

// overrun stops all of them until the kernel had to drop events of each.
func (s *soak) overrun() {
	all := []*soaked{s.screen, s.events, s.record}
	for _, p := range all {
		labtest.Must(s.t, p.cmd.Process.Signal(syscall.SIGSTOP))
	}
	ctx, from := context.Background(), fill.MaxFlow-soakBurst
	labtest.Must(s.t, s.bursts.Create(ctx, from, fill.MaxFlow))
	for i := range 53 {
		labtest.Must(s.t, s.bursts.Update(ctx, from, fill.MaxFlow, uint32(i+1)))
	}
	labtest.Must(s.t, s.bursts.Destroy(ctx, from, fill.MaxFlow))
	s.done.Add(55 * soakBurst)
	for _, p := range all {
		labtest.Must(s.t, p.cmd.Process.Signal(syscall.SIGCONT))
	}
}

// changed has the screen show the other namespace, and back.
func (s *soak) changed() {
	s.home()
	s.tm.send(":netns " + s.other.Path() + "\r")
	s.eventually("the three flows of the other namespace", func() bool { return strings.Contains(s.tm.screen(), "flows 3/") })
	s.tm.send(":netns " + s.ns.Path() + "\r")
	s.eventually("the namespace that churns", func() bool { return !strings.Contains(s.tm.screen(), "flows 3/") })
}

// gone follows a namespace that is removed: the screen and events end, and say why.
func (s *soak) gone() {
	name := fmt.Sprintf("ctview-soak-%d", os.Getpid())
	ip := func(args ...string) {
		s.t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			s.t.Fatalf("ip %v: %v %s", args, err, out)
		}
	}
	ip("netns", "add", name)
	there := true
	defer func() {
		if there {
			ip("netns", "del", name)
		}
	}()
	if out, err := exec.Command("ip", "netns", "exec", name, "nft", "add table t; add chain t c { type filter hook input priority 0; }; add rule t c ct state new").CombinedOutput(); err != nil {
		s.t.Fatalf("nft: %v %s", err, out)
	}
	var diag bytes.Buffer
	cmd := ctview(s.t, "events", "--netns", name)
	cmd.Stderr = &diag
	labtest.Must(s.t, cmd.Start())
	stop := time.AfterFunc(soakPatience, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	settle(s.t, cmd.Process.Pid)
	tm := newTerminal(s.t, ctview(s.t, "--netns", name), 80, 24)
	tm.shows("LIVE")
	ip("netns", "del", name)
	there = false
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() < 1 || !strings.Contains(diag.String(), "gone") {
		s.t.Errorf("events of a namespace that is gone: %v: %s", err, &diag)
	}
	if code := tm.ended(); code < 1 || code > 127 || !strings.Contains(tm.output(), "gone") {
		s.t.Errorf("the screen of a namespace that is gone: exit code %d:\n%s", code, tm.screen())
	}
}

// flushed takes the rules away that have connections tracked, and brings them back.
func (s *soak) flushed() {
	if out, err := labtest.Command(s.ns, "nft", "flush", "ruleset").CombinedOutput(); err != nil {
		s.t.Fatalf("nft: %v %s", err, out)
	}
	time.Sleep(time.Duration(s.rng.Int64N(int64(time.Second))))
	labtest.Must(s.t, s.ns.EnableTracking())
}

// acct switches accounting and timestamps, as they come.
func (s *soak) acct() {
	for _, name := range []string{"acct", "timestamp"} {
		labtest.Must(s.t, s.ns.Sysctl("net/netfilter/nf_conntrack_"+name, strconv.Itoa(s.rng.IntN(2))))
	}
}

// keys goes about as an operator does who changes nothing.
func (s *soak) keys() {
	all := []string{"2", "3", "4", "5", "6", "e", "j", "jjj", "G", "g", "\x06", "\x02", ">", "<", "S", "z", "o", "i", "R", "\r", "?", "!", "v", "c", "s", "b", "f",
		"/proto tcp\r", "/dport 443\r", "/state est", "\t", "1", " ", "\x18", "p"}
	for range 1 + s.rng.IntN(12) {
		s.tm.send(all[s.rng.IntN(len(all))])
		time.Sleep(time.Duration(s.rng.Int64N(int64(300 * time.Millisecond))))
	}
	s.home()
}

// home leaves whatever is open, filtered or paused, for all flows.
func (s *soak) home() {
	s.eventually("the flows, all of them", func() bool {
		for _, key := range []string{"\x1b", "1", "\x1b", "\x1b", "g"} { // what is read together with an Esc is another key: "g" is lost without harm
			s.tm.send(key)
			time.Sleep(150 * time.Millisecond)
		}
		lines := strings.Split(s.tm.screen(), "\n")
		if strings.Contains(lines[0], "PAUSED") {
			s.tm.send("p")
			return false
		}
		return len(lines) > 3 && strings.Contains(lines[1], "[1 Flows]") && strings.HasPrefix(strings.TrimSpace(lines[2])+"  ", "/  ")
	})
}

// size changes the terminal's.
func (s *soak) size() {
	for range 3 {
		s.tm.resize(40+s.rng.IntN(160), 10+s.rng.IntN(40))
		time.Sleep(time.Duration(s.rng.Int64N(int64(300 * time.Millisecond))))
	}
	s.tm.resize(160, 35)
}

// list is another ctview that dumps.
func (s *soak) list() {
	if out, err := ctview(s.t, "list", "--netns", s.ns.Path(), "--sort", "bytes:desc", "--limit", "5").CombinedOutput(); err != nil {
		s.t.Errorf("list: %v %s", err, out)
	}
}

// recording writes one, and reads it.
func (s *soak) recording() {
	file := filepath.Join(s.dir, "r.pcap")
	out, err := ctview(s.t, "record", "--netns", s.ns.Path(), "--for", "1s", "--force", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), "not complete") {
		s.t.Errorf("record: %v %s", err, out)
	}
	if out, err := ctview(s.t, "list", "--read", file).Output(); err != nil || len(out) == 0 {
		s.t.Errorf("list --read: %v, %d bytes", err, len(out))
	}
}

// calm compares what the programs say with the kernel, which nobody changes now.
func (s *soak) calm() {
	s.eventually("events to tell all", func() bool { return s.told.Load()+s.lost.Load() >= s.done.Load() })
	if told, lost := s.told.Load(), s.lost.Load(); told+lost != s.done.Load() {
		s.t.Errorf("events: told %d and lost %d, but there were %d", told, lost, s.done.Load())
	}
	s.home()
	count := must(s.ns.ReadSysctl("net/netfilter/nf_conntrack_count"))(s.t)
	s.eventually("the kernel's "+count+" flows on the screen", func() bool {
		screen := s.tm.screen()
		return strings.Contains(screen, "LIVE") && strings.Contains(screen, "flows "+count+"/")
	})
	var diff string
	for end := time.Now().Add(soakPatience); ; {
		kernel := must(ctview(s.t, "list", "--netns", s.ns.Path(), "-o", "json").Output())(s.t)
		shown := s.written(bytes.Count(kernel, []byte("\n")))
		if diff = cmp.Diff(identities(s.t, kernel), identities(s.t, shown)); diff == "" {
			break
		}
		if time.Now().After(end) {
			s.t.Fatalf("the screen differs from the kernel (-kernel +screen):\n%s\n%s", diff, s.tm.screen())
		}
	}
	s.tm.mu.Lock()
	s.tm.raw = nil // an hour of it is much
	s.tm.mu.Unlock()
}

// written has the screen write its n flows to a file, and returns that.
func (s *soak) written(n int) (b []byte) {
	s.files++
	file := filepath.Join(s.dir, strconv.Itoa(s.files)+".json")
	s.tm.send(":write " + file + "\r")
	s.eventually(fmt.Sprintf("%d lines in %s", n, file), func() bool {
		var err error
		b, err = os.ReadFile(file)
		return err == nil && bytes.Count(b, []byte("\n")) == n
	})
	labtest.Must(s.t, os.Remove(file))
	return b
}

// end ends the programs in good order, and adds up what record says.
func (s *soak) end() {
	s.tm.send("q")
	if code := s.tm.ended(); code != 0 {
		s.t.Errorf("the screen: exit code %d", code)
	}
	for _, p := range []*soaked{s.events, s.record} {
		labtest.Must(s.t, p.cmd.Process.Signal(syscall.SIGTERM))
		var exit *exec.ExitError
		if err := p.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 128+int(syscall.SIGTERM) {
			s.t.Errorf("%s: %v", p.name, err)
		}
	}
	said := s.recorded.String()
	var rows, events, lost uint64
	_, _ = fmt.Sscanf(strings.ReplaceAll(said, "flows", "flow"), "ctview: recorded %d flow and %d events; %d lost", &rows, &events, &lost)
	if events+lost != s.done.Load() {
		s.t.Errorf("record said %q, but there were %d events", said, s.done.Load())
	}
}
