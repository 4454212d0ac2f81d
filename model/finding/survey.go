package finding

import (
	"cmp"
	"slices"
	"sort"

	"ctview/model"
	"ctview/model/table"
)

// A Flows is a table of flows that can be walked in slices. *table.Table is the only real one.
type Flows interface {
	Walk(from, stride uint32, n int, fn func(*model.Flow)) (next uint32)
	Stats() table.Stats
}

const (
	second = int64(1e9)

	// slice is how many slots are walked with the table locked: some 0.4 ms.
	slice = 4096
	// sampled is how many flows a sample has at most.
	sampled = 1 << 16
	// keepSuspects is how many sources, and how many targets, are counted one by one.
	keepSuspects = 8
	// keepDistinct is how many different addresses and ports of one suspect are told apart.
	keepDistinct = 4096
	// young is how long ago what is called new began.
	young = 10 * second

	// A host or a target with fewer flows that nobody answers is nobody's concern.
	manyHalfOpen = 500
	manyTargets  = 100
)

// A Survey is what one look at every flow found. It belongs to whoever took it; the zero value is one of no flows.
type Survey struct {
	At    int64 // when it began, Unix nanoseconds
	Flows int   // looked at

	New, NewUnanswered int  // flows begun in the ten seconds before, and those of them without an answer
	HasNew             bool // which ones are new is known: events came, or the kernel keeps timestamps

	// Of the sample, and scaled to the table: "some".
	Uncounted int  // flows without counters
	Idle      int  // TCP established, and no packet for a day
	Offloaded int  // in a flowtable
	Exact     bool // the sample was the table

	OneWay  int // TCP that is established without a reply: picked up midway, and only one direction passes
	Control [numControls]Control
	Stale   []Pinned // UDP that NAT sends where nobody answers, the most flows first
	NATs    []NATUse // translated sources that take many ports towards one destination

	Astray Astray

	Sources []Source // those that are worth a look, the most flows first
	Targets []Target
}

// A Source is a host with its flows.
type Source struct {
	Family             model.Family
	Addr               [16]byte
	Flows              int
	Unanswered         int      // without a reply
	Failed             int      // without a reply, or refused: TCP that is closed after a reply
	HalfOpen           int      // TCP before its handshake was complete
	New, NewUnanswered int      // see Survey
	Addrs, Ports       int      // different destinations and ports of what failed; at most keepDistinct
	To                 Target   // where most of its half-open flows go; To.HalfOpen of them
	Tried              [16]byte // one destination of what failed

	addrs   map[[16]byte]struct{}
	ports   map[uint16]struct{}
	targets map[targetKey]int
}

// A Target is an address and port of a protocol that flows go to. Amplified is nothing but the direction that bytes take.
type Target struct {
	Family   model.Family
	Addr     [16]byte
	Port     uint16
	Proto    model.Proto
	Flows    int
	HalfOpen int
	Answered int // new ones that were answered, in the last ten seconds
	Sources  int // different ones of the half-open flows; at most keepDistinct

	// Of flows with counters.
	Counted  int
	Asked    uint64   // bytes of the original direction
	Answers  uint64   // bytes of the reply
	MaxAsker [16]byte // who got most of Answers
	MaxBytes uint64

	from  map[[16]byte]struct{}
	bytes map[[16]byte]uint64
}

func (t *Target) key() targetKey { return targetKey{t.Addr, t.Port, t.Proto, t.Family} }

type targetKey struct {
	addr   [16]byte
	port   uint16
	proto  model.Proto
	family model.Family
}

type sourceKey struct {
	addr   [16]byte
	family model.Family
}

// heavy finds what comes up most among many, in little memory: Misra and Gries' summary. Of n adds every key with more than
// n/size of them is in it, at a count that is at most n/size too low.
type heavy[K comparable] struct {
	size   int
	counts map[K]int
}

func newHeavy[K comparable](size int) heavy[K] { return heavy[K]{size, make(map[K]int, size+1)} }

func (h *heavy[K]) add(k K) {
	h.counts[k]++
	if len(h.counts) <= h.size {
		return
	}
	for k, n := range h.counts {
		if n == 1 {
			delete(h.counts, k)
		} else {
			h.counts[k] = n - 1
		}
	}
}

// top returns the keys with at least least adds that come up most, n at most.
func (h *heavy[K]) top(n, least int) []K {
	var keys []K
	for k, c := range h.counts {
		if c >= least {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b K) int { return cmp.Compare(h.counts[b], h.counts[a]) })
	return keys[:min(n, len(keys))]
}

// A Question says what to look for.
type Question struct {
	Now     int64 // Unix nanoseconds
	System  *model.System
	Pass    int            // how often was looked before: of a large table every look samples other flows
	Samples []model.Sample // INVALID packets that were seen of late; nil: none, or nobody looks at packets
}

// Look surveys the table. It locks it for half a millisecond at a time, and costs some 10 ms, and where somebody is worth a
// look 50 ns a flow.
func Look(t Flows, q *Question) *Survey {
	sys, now, pass := q.System, q.Now, q.Pass
	s := &surveyor{Survey: Survey{At: now}, stats: t.Stats(), strays: strays(q), established: sys.TCPTimeouts[model.TCPEstablished],
		pinnedAge: pinnedAge(sys) * second, timestamps: sys.Timestamp.OK && sys.Timestamp.Value != 0}
	stride := uint32(1)
	if n := s.stats.Flows; n > sampled {
		stride = uint32((n + sampled - 1) / sampled)
	}
	s.begin(int(stride))
	walk(t, uint32(pass)%stride, stride, s.sample)
	s.choose(int(stride))
	if len(s.bySource)+len(s.byTarget)+len(s.byNAT)+len(s.strays) > 0 {
		walk(t, 0, 1, s.prove)
	} else if stride > 1 {
		s.Flows, s.HasNew = s.stats.Flows, false
	}
	return s.end()
}

func walk(t Flows, from, stride uint32, fn func(*model.Flow)) {
	for {
		if from = t.Walk(from, stride, slice, fn); from == 0 {
			return
		}
	}
}

// A surveyor is a Survey in the making.
type surveyor struct {
	Survey
	stats       table.Stats
	established model.Setting // seconds
	pinnedAge   int64         // see Pinned
	timestamps  bool          // the kernel tells when flows began
	since       int64         // what began later is new

	failed, all heavy[sourceKey]
	nat         heavy[natKey]
	byNAT       map[natKey]*NATUse
	pinned      map[pinKey]*Pinned
	strays      map[model.Tuple]*stray
	open, amp   heavy[targetKey]
	bySource    map[sourceKey]*Source
	byTarget    map[targetKey]*Target
}

func (s *surveyor) begin(stride int) {
	s.since = s.At - young
	s.HasNew = s.stats.Loaded && (s.timestamps || s.At-s.stats.LoadedAt >= young)
	s.Exact = stride == 1
	s.failed, s.all = newHeavy[sourceKey](1024), newHeavy[sourceKey](16)
	s.nat, s.pinned = newHeavy[natKey](2048), map[pinKey]*Pinned{}
	s.open, s.amp = newHeavy[targetKey](256), newHeavy[targetKey](64)
}

func halfOpen(f *model.Flow) bool {
	return f.Proto == model.ProtoTCP && f.Known&model.KnownState != 0 && !f.Offloaded() &&
		(f.State == model.TCPSynSent || f.State == model.TCPSynRecv || f.State == synSent2)
}

// synSent2 is TCP_CONNTRACK_SYN_SENT2, of a simultaneous open.
const synSent2 model.State = 9

func unanswered(f *model.Flow) bool { return f.Status&model.StatusSeenReply == 0 }

// refused reports whether a TCP flow ended before it was established.
func refused(f *model.Flow) bool {
	return f.Proto == model.ProtoTCP && f.Known&model.KnownState != 0 && f.State == model.TCPClose &&
		f.Status&model.StatusAssured == 0
}

// amplifiers are UDP services whose answers are many times longer than what asked for them.
var amplifiers = map[uint16]string{17: "qotd", 19: "chargen", 53: "dns", 69: "tftp", 111: "portmap", 123: "ntp", 137: "netbios-ns",
	161: "snmp", 389: "cldap", 520: "rip", 1434: "mssql", 1900: "ssdp", 3283: "ard", 3702: "ws-discovery", 5353: "mdns", 11211: "memcached"}

func amplifies(f *model.Flow) bool {
	return f.Proto == model.ProtoUDP && amplifiers[f.Dport] != "" && f.Known&model.KnownCounters != 0 &&
		f.Bytes[1] > 0 && f.Bytes[1] >= leastGain*f.Bytes[0]
}

// leastGain is the least that an answer is longer than its question where it amplifies.
const leastGain = 8

func target(f *model.Flow) targetKey { return targetKey{f.Dst, f.Dport, f.Proto, f.Family} }

// sample looks at a flow of the sample.
func (s *surveyor) sample(f *model.Flow) {
	s.Flows++
	src := sourceKey{f.Src, f.Family}
	s.all.add(src)
	if unanswered(f) || refused(f) {
		s.failed.add(src)
	}
	if halfOpen(f) {
		s.open.add(target(f))
	}
	if amplifies(f) {
		s.amp.add(target(f))
	}
	if f.Offloaded() {
		s.Offloaded++
	}
	// A NEW tells no counters: only of a flow that the first dump named, or that no event ever came of, is it known that it has none.
	if f.Known&model.KnownCounters == 0 && f.Known&model.KnownWhole != 0 && (f.Known&model.KnownEvents == 0 || f.First < s.stats.LoadedFrom) {
		s.Uncounted++
	}
	if f.Proto == model.ProtoTCP && f.State == model.TCPEstablished && f.Known&model.KnownState != 0 && unanswered(f) && !f.Offloaded() {
		s.OneWay++
	}
	s.control(f)
	s.translated(f)
	if s.established.OK && f.Proto == model.ProtoTCP && f.State == model.TCPEstablished &&
		f.Known&(model.KnownState|model.KnownTimeout) == model.KnownState|model.KnownTimeout &&
		f.Expires-s.At < (s.established.Value-day)*second && f.Expires-s.At > unacknowledged*second {
		s.Idle++
	}
}

const (
	day = 86400 // seconds
	// unacknowledged is what an established flow's timeout can be at without being idle: the kernel lowers it to
	// nf_conntrack_tcp_timeout_unacknowledged or _max_retrans, 300 s, while an acknowledgement is due (nf_conntrack_tcp_packet).
	unacknowledged = 300
)

// choose decides whose flows are counted.
func (s *surveyor) choose(stride int) {
	s.bySource, s.byTarget = map[sourceKey]*Source{}, map[targetKey]*Target{}
	n := s.Flows
	// A tenth less than what is called many: a sample errs.
	for _, k := range s.failed.top(keepSuspects, max(manyTargets*9/10/stride-n/1024, 2)) {
		s.bySource[k] = nil
	}
	for _, k := range s.all.top(2, max(n*45/100-n/16, 2)) {
		s.bySource[k] = nil
	}
	for _, k := range s.open.top(keepSuspects, max(manyHalfOpen*9/10/stride-n/256, 2)) {
		s.byTarget[k] = nil
	}
	for _, k := range s.amp.top(keepSuspects, 2) {
		s.byTarget[k] = nil
	}
	s.byNAT = map[natKey]*NATUse{}
	for _, k := range s.nat.top(keepSuspects, max(leastNAT/stride-n/2048, 2)) {
		s.byNAT[k] = &NATUse{natKey: k}
	}
	for k := range s.bySource {
		s.bySource[k] = &Source{Family: k.family, Addr: k.addr,
			addrs: map[[16]byte]struct{}{}, ports: map[uint16]struct{}{}, targets: map[targetKey]int{}}
	}
	for k := range s.byTarget {
		s.byTarget[k] = &Target{Family: k.family, Addr: k.addr, Port: k.port, Proto: k.proto,
			from: map[[16]byte]struct{}{}, bytes: map[[16]byte]uint64{}}
	}
	s.Uncounted *= stride
	s.Idle *= stride
	s.Offloaded *= stride
	s.OneWay *= stride
	for i := range s.Control {
		s.Control[i].scale(stride)
	}
	for _, p := range s.pinned {
		p.Flows *= stride
	}
	s.Flows = 0
}

// prove counts a flow of the table for the suspects.
func (s *surveyor) prove(f *model.Flow) {
	s.Flows++
	isNew := f.First > s.since && (f.Known&model.KnownStart != 0 || f.First > s.stats.LoadedAt)
	if isNew {
		s.New++
		if unanswered(f) {
			s.NewUnanswered++
		}
	}
	if p := s.bySource[sourceKey{f.Src, f.Family}]; p != nil {
		p.add(f, isNew)
	}
	if p := s.byTarget[target(f)]; p != nil {
		p.add(f, isNew)
	}
	if len(s.strays) > 0 && f.Proto == model.ProtoTCP {
		s.belongs(f)
	}
	if len(s.byNAT) > 0 && f.SNAT() {
		if p := s.byNAT[natOf(f)]; p != nil {
			p.add(f)
		}
	}
}

func (p *Source) add(f *model.Flow, isNew bool) {
	p.Flows++
	if isNew {
		p.New++
	}
	if unanswered(f) {
		p.Unanswered++
		if isNew {
			p.NewUnanswered++
		}
	}
	if unanswered(f) || refused(f) {
		p.Failed++
		p.Tried = f.Dst
		if len(p.addrs) < keepDistinct {
			p.addrs[f.Dst] = struct{}{}
		}
		if len(p.ports) < keepDistinct && f.Proto.HasPorts() {
			p.ports[f.Dport] = struct{}{}
		}
	}
	if halfOpen(f) {
		p.HalfOpen++
		k := target(f)
		if n, ok := p.targets[k]; ok || len(p.targets) < keepDistinct {
			p.targets[k] = n + 1
		}
	}
}

func (t *Target) add(f *model.Flow, isNew bool) {
	t.Flows++
	if halfOpen(f) {
		t.HalfOpen++
		if len(t.from) < keepDistinct {
			t.from[f.Src] = struct{}{}
		}
	} else if isNew && !unanswered(f) {
		t.Answered++
	}
	if f.Known&model.KnownCounters != 0 {
		t.Counted++
		t.Asked += f.Bytes[0]
		t.Answers += f.Bytes[1]
		if _, ok := t.bytes[f.Src]; ok || len(t.bytes) < keepDistinct {
			t.bytes[f.Src] += f.Bytes[1]
			if b := t.bytes[f.Src]; b > t.MaxBytes {
				t.MaxAsker, t.MaxBytes = f.Src, b
			}
		}
	}
}

// end makes the lists.
func (s *surveyor) end() *Survey {
	for _, p := range s.bySource {
		p.Addrs, p.Ports = len(p.addrs), len(p.ports)
		for k, n := range p.targets {
			if n > p.To.HalfOpen {
				p.To = Target{Family: k.family, Addr: k.addr, Port: k.port, Proto: k.proto, HalfOpen: n}
			}
		}
		p.addrs, p.ports, p.targets = nil, nil, nil
		s.Sources = append(s.Sources, *p)
	}
	for _, p := range s.byTarget {
		p.Sources = len(p.from)
		p.from, p.bytes = nil, nil
		s.Targets = append(s.Targets, *p)
	}
	s.judgeStrays()
	for _, p := range s.byNAT {
		s.NATs = append(s.NATs, *p)
	}
	for _, p := range s.pinned {
		s.Stale = append(s.Stale, *p)
	}
	// sort.Slice: see model.SortRules.
	sort.Slice(s.NATs, func(i, j int) bool {
		a, b := &s.NATs[i], &s.NATs[j]
		return cmp.Or(cmp.Compare(b.Ports, a.Ports), slices.Compare(a.Addr[:], b.Addr[:]), slices.Compare(a.Dst[:], b.Dst[:]), cmp.Compare(a.Port, b.Port)) < 0
	})
	sort.Slice(s.Stale, func(i, j int) bool {
		a, b := &s.Stale[i], &s.Stale[j]
		return cmp.Or(cmp.Compare(b.Flows, a.Flows), slices.Compare(a.Addr[:], b.Addr[:]), cmp.Compare(a.Port, b.Port)) < 0
	})
	sort.Slice(s.Sources, func(i, j int) bool {
		a, b := &s.Sources[i], &s.Sources[j]
		return cmp.Or(cmp.Compare(b.Flows, a.Flows), slices.Compare(a.Addr[:], b.Addr[:])) < 0
	})
	sort.Slice(s.Targets, func(i, j int) bool {
		a, b := &s.Targets[i], &s.Targets[j]
		return cmp.Or(cmp.Compare(b.Flows, a.Flows), slices.Compare(a.Addr[:], b.Addr[:]), cmp.Compare(a.Port, b.Port)) < 0
	})
	return &s.Survey
}
