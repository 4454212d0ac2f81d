package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"testing"

	"ctview/cmd/ctview/exporter/ipfix"
	"ctview/cmd/ctview/exporter/ipfix/oracle"
	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"
	"ctview/model/table"
)

const collectorAddr = "127.0.0.1:4739"

// A collected is what a collector of the test was sent, by domain.
type collected struct {
	mu      sync.Mutex
	domains map[uint32]*oracle.Decoder
	counts  map[uint32]int // records of flows
	err     error
	later   bool // messages may have been sent before the first
	stop    func()
}

func newCollected() *collected {
	return &collected{domains: map[uint32]*oracle.Decoder{}, counts: map[uint32]int{}, stop: func() {}}
}

// collectUDP takes IPFIX over UDP in ns, until stop.
func collectUDP(t *testing.T, ns *lab.NS) *collected {
	t.Helper()
	c := newCollected()
	c.udp(t, ns)
	return c
}

func (c *collected) udp(t *testing.T, ns *lab.NS) {
	t.Helper()
	p, err := ns.ListenPacket("udp", collectorAddr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	c.stop = sync.OnceFunc(func() {
		_ = p.Close()
		<-done
	})
	t.Cleanup(c.stop)
	if err := p.(*net.UDPConn).SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(done)
		b := make([]byte, 1<<16)
		for {
			n, _, err := p.ReadFrom(b)
			if err != nil {
				return // the end of the test
			}
			c.message(b[:n])
		}
	}()
}

func (c *collected) message(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	domain := uint32(0)
	if len(b) >= 16 {
		domain = binary.BigEndian.Uint32(b[12:])
	}
	d := c.domains[domain]
	if d == nil {
		if d = oracle.New(domain); c.later {
			d = oracle.Join(domain)
		}
		c.domains[domain] = d
	}
	before := len(d.Records)
	err := d.Message(b)
	for _, r := range d.Records[before:] {
		if _, ok := r.Values[oracle.Key{0, elemFlowID}]; ok {
			c.counts[domain]++
		}
	}
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("message %d of domain %d: %w", d.Messages, domain, err)
	}
}

// count returns how many records of flows there are of a domain.
func (c *collected) count(t *testing.T, domain uint32) int {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		t.Fatal(c.err)
	}
	return c.counts[domain]
}

// flows returns the records of flows of a domain by flow, in their order.
func (c *collected) flows(t *testing.T, domain uint32) map[flowID][]oracle.Record {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		t.Fatal(c.err)
	}
	m := map[flowID][]oracle.Record{}
	if d := c.domains[domain]; d != nil {
		for _, r := range d.Records {
			if _, ok := r.Values[oracle.Key{0, elemFlowID}]; ok {
				id := idOf(&r)
				m[id] = append(m[id], r)
			}
		}
	}
	return m
}

// The elements that are looked at here, of IANA.
const (
	elemBytes, elemPackets     = 1, 2
	elemProto, elemFlowID      = 4, 148
	elemSport, elemDport       = 7, 11
	elemSrc4, elemDst4         = 8, 12
	elemSrc6, elemDst6         = 27, 28
	elemICMP4, elemICMP6       = 32, 139
	elemHelper                 = 96
	elemReason                 = 136
	elemStart, elemEnd         = 152, 153
	elemNATSrc4, elemNATDst4   = 225, 226
	elemNATSport, elemNATDport = 227, 228
	elemZone                   = 234
	elemNATSrc6, elemNATDst6   = 281, 282
	elemReverse, elemOurs      = 29305, ipfix.Examples // enterprises
	elemStatus, elem3          = 1, 3
)

// A flowID tells lives of flows apart.
type flowID struct {
	key model.Key
	id  uint32
}

func idOf(r *oracle.Record) flowID {
	k := model.Key{Proto: model.Proto(r.Uint(0, elemProto)), Family: model.IPv6, Sport: uint16(r.Uint(0, elemSport)), Zone: uint16(r.Uint(0, elemZone)),
		ZoneDir: model.ZoneDir(r.Uint(elemOurs, elem3))}
	k.Dport = uint16(r.Uint(0, elemDport) | r.Uint(0, elemICMP4) | r.Uint(0, elemICMP6))
	k.Src, k.Dst = addressOf(r, elemSrc4, elemSrc6), addressOf(r, elemDst4, elemDst6)
	if _, v4 := r.Values[oracle.Key{0, elemSrc4}]; v4 {
		k.Family = model.IPv4
	}
	return flowID{k, uint32(r.Uint(0, elemFlowID))}
}

func addressOf(r *oracle.Record, v4, v6 uint32) (a [16]byte) {
	if b := r.Values[oracle.Key{0, v4}]; b != nil {
		a[10], a[11] = 0xff, 0xff
		copy(a[12:], b)
	}
	copy(a[:], r.Values[oracle.Key{0, v6}])
	return a
}

// A witness notes what the kernel says of flows when they end.
type witness struct {
	ctnl.Sink // a table
	mu        sync.Mutex
	ends      map[flowID][]model.Flow
	lost      uint64
}

// Apply implements ctnl.Sink.
func (w *witness) Apply(_ int64, evs []model.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range evs {
		if f := evs[i].Flow; evs[i].Kind == model.Destroy {
			k := f.Key
			if !k.Proto.HasPorts() && !k.Proto.IsICMP() { // has none in a record
				k.Sport, k.Dport = 0, 0
			}
			w.ends[flowID{k, f.ID}] = append(w.ends[flowID{k, f.ID}], f)
		}
	}
}

// Lost implements ctnl.Sink.
func (w *witness) Lost(_ int64, n uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost += max(n, 1)
}

// ended returns what was noted.
func (w *witness) ended(t *testing.T) map[flowID][]model.Flow {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost > 0 {
		t.Fatalf("the test itself lost %d events", w.lost)
	}
	return maps.Clone(w.ends)
}

// watch notes the ends of flows in ns from now on.
func watch(t *testing.T, ns *lab.NS) *witness {
	t.Helper()
	n, err := ctnl.OpenNetns(path(ns))
	if err != nil {
		t.Fatal(err)
	}
	ev, err := ctnl.Watch(n, ctnl.WatchOptions{})
	if err != nil {
		t.Fatal(errors.Join(err, n.Close()))
	}
	w := &witness{Sink: table.New(), ends: map[flowID][]model.Flow{}}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- ev.Run(ctx, w) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ran, n.Close()); err != nil {
			t.Errorf("watch: %v", err)
		}
	})
	return w
}

// A router is one with real traffic of every kind that the lab has, and an exporter that watches it from a namespace of its own.
type router struct {
	lab *lab.Lab
	ns  *lab.NS // in which connections are tracked
	web *lab.NS // in which the exporter and collectors run
	*witness
	exporter *running
}

func startRouter(t *testing.T) *router {
	t.Helper()
	l, err := lab.New(t.Context(), lab.Options{Rate: 5})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &router{lab: l, ns: l.Router(), web: newNS(t), witness: watch(t, l.Router())}
}

// export starts the exporter.
func (x *router) export(t *testing.T, args ...string) {
	t.Helper()
	x.exporter = begin(t, x.web, append([]string{"--listen", defaultListen, "--netns", path(x.ns), "--ipfix", collectorAddr}, args...)...)
}

// metric returns the value of a metric of the router's.
func (x *router) metric(t *testing.T, name string) float64 {
	t.Helper()
	return x.exporter.must(t)[name+"{"+netns(path(x.ns))+"}"]
}

// traffic makes traffic until there is enough, then has the kernel end every flow.
func (x *router) traffic(t *testing.T, enough func() bool) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- x.lab.Run(ctx) }()
	until(t, "there was enough traffic", func() bool { return len(x.ended(t)) >= 20 && enough() })
	stop()
	if err := <-ran; err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if out, err := x.ns.Command("conntrack", "-F").CombinedOutput(); err != nil {
		t.Fatalf("conntrack -F (make test installs it): %v\n%s", err, out)
	}
	until(t, "the table is empty", func() bool { return x.metric(t, "ctview_entries") == 0 })
	if lost := x.metric(t, "ctview_events_lost_total"); lost != 0 {
		t.Fatalf("%v events lost", lost)
	}
}

// TestRecordsAddUp: of real flows of every kind that the lab has (translated, in zones, with helpers, of both families) the records
// while they go on and at their end add up to the kernel's counters in both directions, say what the kernel says of the rest, and
// one begins where the one before ended.
func TestRecordsAddUp(t *testing.T) {
	t.Parallel()
	x := startRouter(t)
	c := collectUDP(t, x.web)
	x.export(t, "--active", "1s")
	x.traffic(t, func() bool {
		longest := 0
		for _, rs := range c.flows(t, 1) {
			longest = max(longest, len(rs))
		}
		return longest > 3 && x.metric(t, "ctview_ipfix_active_records_total") > 100
	})
	var got map[flowID][]oracle.Record
	var want map[flowID][]model.Flow
	until(t, "every end is told", func() bool {
		got, want = c.flows(t, 1), x.ended(t)
		for id, fs := range want {
			ends := 0
			for _, r := range got[id] {
				if r.Uint(0, elemReason) != uint64(ipfix.ActiveTimeout) {
					ends++
				}
			}
			if ends < len(fs) {
				return false
			}
		}
		return true
	})
	several, translated, zones, helpers := 0, 0, 0, 0
	for id, fs := range want {
		f, rs := &fs[0], got[id]
		if len(fs) > 1 {
			continue // several lives of one tuple and ID
		}
		if len(rs) > 1 {
			several++
		}
		compareRecords(t, f, rs)
		if f.SNAT() || f.DNAT() {
			translated++
		}
		if f.Zone != 0 {
			zones++
		}
		if rs[len(rs)-1].Values[oracle.Key{0, elemHelper}] != nil {
			helpers++
		}
	}
	for id, rs := range got {
		if last := rs[len(rs)-1].Uint(0, elemReason); want[id] == nil && last != uint64(ipfix.ActiveTimeout) {
			t.Errorf("%v: %d records tell an end of which the kernel said nothing", id, len(rs))
		}
	}
	if several < 10 || translated < 10 || zones < 10 || helpers == 0 {
		t.Errorf("%d flows of several records, %d translated, %d in zones, %d with helpers: too few to show anything", several, translated, zones, helpers)
	}
}

// compareRecords holds all records of a flow against what the kernel said of it last.
func compareRecords(t *testing.T, f *model.Flow, rs []oracle.Record) {
	t.Helper()
	var packets, bytes [2]uint64
	for i := range rs {
		r := &rs[i]
		packets[0], packets[1] = packets[0]+r.Uint(0, elemPackets), packets[1]+r.Uint(elemReverse, elemPackets)
		bytes[0], bytes[1] = bytes[0]+r.Uint(0, elemBytes), bytes[1]+r.Uint(elemReverse, elemBytes)
		if reason := ipfix.Reason(r.Uint(0, elemReason)); (reason == ipfix.ActiveTimeout) != (i < len(rs)-1) || reason == ipfix.LackOfResources {
			t.Errorf("%v: record %d of %d has reason %d", f.Key, i, len(rs), reason)
		}
		start, end := r.Uint(0, elemStart), r.Uint(0, elemEnd)
		begin := uint64(f.First / 1e6)
		if i > 0 {
			begin = rs[i-1].Uint(0, elemEnd)
		}
		if start != begin || end < start {
			t.Errorf("%v: record %d of %d is from %d to %d, want from %d", f.Key, i, len(rs), start, end, begin)
		}
	}
	if packets != f.Packets || bytes != f.Bytes {
		t.Errorf("%v: %d records tell %v packets and %v bytes, the kernel %v and %v", f.Key, len(rs), packets, bytes, f.Packets, f.Bytes)
	}
	last := &rs[len(rs)-1]
	if f.SNAT() || f.DNAT() {
		src, dst := addressOf(last, elemNATSrc4, elemNATSrc6), addressOf(last, elemNATDst4, elemNATDst6)
		if src != f.ReplyDst || dst != f.ReplySrc {
			t.Errorf("%v: translated from %v to %v, the kernel says %v to %v", f.Key, src, dst, f.ReplyDst, f.ReplySrc)
		}
		if sport, dport := uint16(last.Uint(0, elemNATSport)), uint16(last.Uint(0, elemNATDport)); f.Proto.HasPorts() && (sport != f.ReplyDport || dport != f.ReplySport) {
			t.Errorf("%v: translated to ports %d and %d, the kernel says %d and %d", f.Key, sport, dport, f.ReplyDport, f.ReplySport)
		}
	}
	if s := model.Status(last.Uint(elemOurs, elemStatus)); s != f.Status {
		t.Errorf("%v: status %v, the kernel says %v", f.Key, s, f.Status)
	}
}
