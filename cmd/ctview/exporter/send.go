package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"ctview/cmd/ctview/exporter/ipfix"
	"ctview/model"
	"ctview/model/table"
)

const (
	// endsKept is how many ended flows of a namespace wait for the collector at most: 23 MB, two seconds at 50,000 a second.
	endsKept = 100_000
	// sendEvery is how often what ended is sent, templatesEvery how often templates are told again over UDP, retryEvery how often a
	// collector that is away is tried, dialTime how long one may take to answer, and lastTime what is left may take at the end.
	sendEvery      = 100 * time.Millisecond
	templatesEvery = 30 * time.Second
	retryEvery     = time.Second
	dialTime       = 10 * time.Second
	lastTime       = 2 * time.Second
	atOnce         = 256 // records taken from a table
	maxUDP         = 1400
	maxTCP         = 16 << 10
)

// A sender sends what ends in a namespace, and what goes on, to an IPFIX collector. What the collector does not take waits in the
// table's queue, which is bounded, and is counted there when it is lost; what is lost on its way the session tells (session.go).
type sender struct {
	n       *namespace
	network string
	addr    string
	domain  uint32
	log     *slog.Logger

	enc       *ipfix.Encoder
	session   *session  // nil: the collector is away
	templates time.Time // when they were told last
	options   bool      // are to be told
	ends      []table.Ended
	keys      []model.Key
	active    []table.Active
	records   []ipfix.Record
	left      []ipfix.Record // taken, not yet in a message
	load      load           // of the records in the message that is not sent yet

	mu    sync.Mutex
	stats sendStats
}

// sendStats are what a scrape is told.
type sendStats struct {
	up                bool
	records, messages uint64
	flows             uint64 // records of flows that were sent
	active            uint64 // of flows that go on that were taken
	refused, broken   load   // over UDP: the network said that nobody took them; over TCP: on their way when the connection broke
}

func newSender(n *namespace, domain uint32, o *options, log *slog.Logger) *sender {
	most := maxUDP
	if o.ipfixProto == "tcp" {
		most = maxTCP
	}
	return &sender{n: n, network: o.ipfixProto, addr: o.ipfix, domain: domain, log: log, enc: ipfix.NewEncoder(domain, uint32(o.ipfixPEN), most),
		ends: make([]table.Ended, atOnce), keys: make([]model.Key, 0, atOnce), active: make([]table.Active, atOnce)}
}

// run sends until ctx ends, then what is left, once.
func (s *sender) run(ctx context.Context) {
	told := ""
	for {
		err := s.step(ctx)
		if ctx.Err() != nil {
			s.end(context.WithoutCancel(ctx), err)
			return
		}
		s.up(err == nil)
		wait := sendEvery
		if err != nil {
			s.drop()
			if text := err.Error(); text != told {
				s.log.Error("the IPFIX collector does not take records, tried again every second", "err", err)
				told = text
			}
			wait = retryEvery
		} else if told != "" {
			s.log.Info("the IPFIX collector takes records again")
			told = ""
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (s *sender) up(is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.up = is
}

// end sends what is left if the collector takes it at once; err is what it said last.
func (s *sender) end(ctx context.Context, err error) {
	ctx, cancel := context.WithTimeout(ctx, lastTime)
	defer cancel()
	if s.session != nil && err == nil { // else it may have a part of a message
		err = s.step(ctx)
	}
	left := len(s.left) + int(s.load.flows) + s.n.endStats().Kept
	if left > 0 {
		s.log.Warn("ends with records that the IPFIX collector did not take", "records", left, "err", err)
	}
	if s.session != nil {
		s.session.close(false)
	}
}

// drop ends a session that is over.
func (s *sender) drop() {
	if s.session == nil {
		return
	}
	lost := s.session.close(true)
	s.session = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.broken.add(lost)
}

// check learns what became of what was sent; an error ends the session.
func (s *sender) check() error {
	lost, err := s.session.check()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.refused.add(lost)
	return err
}

// step sends all that ended.
func (s *sender) step(ctx context.Context) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	if s.network == "udp" && time.Since(s.templates) > templatesEvery {
		if err := s.tell(ctx); err != nil {
			return err
		}
	}
	for {
		if len(s.left) == 0 && !s.take(ctx) {
			break
		}
		for len(s.left) > 0 {
			if !s.enc.Append(&s.left[0]) {
				if err := s.flush(ctx); err != nil {
					return err
				}
				continue
			}
			r := &s.left[0]
			s.load.add(load{1, r.Packets[0] + r.Packets[1], r.Bytes[0] + r.Bytes[1]})
			s.left = s.left[1:]
		}
	}
	if s.options {
		if !s.enc.AppendOptions(model.Escape(s.n.spec), s.loss()) {
			if err := s.flush(ctx); err != nil {
				return err
			}
			s.enc.AppendOptions(model.Escape(s.n.spec), s.loss())
		}
		s.options = false
	}
	return s.flush(ctx)
}

// take takes records from the table, of what ended before what goes on; false where there is none now.
func (s *sender) take(ctx context.Context) bool {
	s.records = s.records[:0]
	for i := range s.ends[:s.n.takeEnds(time.Now().UnixNano(), s.ends)] {
		s.records = append(s.records, ended(&s.ends[i]))
	}
	if w := s.n.watching(); len(s.records) == 0 && w != nil {
		s.takeActive(ctx, w)
	}
	s.left = s.records
	return len(s.left) > 0
}

// takeActive takes records of flows that go on, whose counters it asks for: those of the table may be as old as its last dump.
func (s *sender) takeActive(ctx context.Context, w *watching) {
	if s.keys = w.table.Due(time.Now().UnixNano(), s.keys[:0]); len(s.keys) == 0 {
		return
	}
	if w.sync.Kernel().Refresh(ctx, s.keys, w.table) != nil {
		return // they stay due; who watches the namespace tells what is wrong
	}
	n := w.table.TakeActive(time.Now().UnixNano(), s.keys, s.active)
	for i := range s.active[:n] {
		s.records = append(s.records, goesOn(&s.active[i]))
	}
	s.mu.Lock()
	s.stats.active += uint64(n)
	s.mu.Unlock()
}

func (s *sender) loss() *ipfix.Loss {
	st, ends := s.told(), s.n.endStats()
	lost := load{ends.Lost, ends.LostPackets, ends.LostBytes}
	lost.add(st.refused)
	lost.add(st.broken)
	return &ipfix.Loss{Flows: lost.flows, Packets: lost.packets, Bytes: lost.bytes, Exported: st.flows, Events: s.n.events().lost, Unheard: ends.Unheard}
}

// told returns the counts.
func (s *sender) told() sendStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// connect begins a transport session where there is none; the collector is told every template that it may need. Over UDP nothing more
// is sent before it has had time to refuse that.
func (s *sender) connect(ctx context.Context) error {
	if s.session != nil {
		return nil
	}
	x, err := dial(ctx, s.network, s.addr, s.domain)
	if err != nil {
		return err
	}
	s.session = x
	if s.network == "tcp" {
		s.enc.Restart()
		return s.tell(ctx)
	}
	s.options = true
	if err := s.tell(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(probeTime):
	}
	return nil
}

func (s *sender) tell(ctx context.Context) error {
	s.templates, s.options = time.Now(), true
	return s.enc.Templates(time.Now().UnixNano(), func(b []byte) error { return s.write(ctx, b) })
}

func (s *sender) write(ctx context.Context, b []byte) error {
	err := s.session.send(ctx, b, func() {
		s.up(false)
		s.log.Warn("the IPFIX collector has read nothing for a while; what ends waits for it", "seconds", stallTime.Seconds())
	})
	if err == nil {
		return nil
	}
	if lost := s.check(); lost != nil { // an ICMP error of a message before is why, and is cleared by being read
		return lost
	}
	return fmt.Errorf("send: %w", err)
}

func (s *sender) flush(ctx context.Context) error {
	b := s.enc.Message(time.Now().UnixNano())
	if b == nil {
		return nil
	}
	if err := s.write(ctx, b); err != nil {
		return err
	}
	s.session.sent(s.enc.Sequence(), s.load)
	s.mu.Lock()
	s.stats.records += uint64(s.enc.Records())
	s.stats.flows += s.load.flows
	s.stats.messages++
	s.mu.Unlock()
	s.load = load{}
	s.enc.Next()
	return nil
}

// ended is what is told of an end.
func ended(e *table.Ended) ipfix.Record {
	r := ipfix.Record{Flow: &e.Flow, Start: began(&e.Flow, &e.Told), End: e.At}
	r.Packets, r.Bytes = e.Told.Since(&e.Flow)
	switch phase := e.Flow.Phase(); {
	case e.Unheard:
		r.Reason = ipfix.LackOfResources
	case e.PortID != 0:
		r.Reason = ipfix.ForcedEnd
	case phase == model.Closed || phase == model.Closing:
		r.Reason = ipfix.EndOfFlow
	default:
		r.Reason = ipfix.IdleTimeout
	}
	return r
}

// goesOn is what is told of a flow that did not end.
func goesOn(a *table.Active) ipfix.Record {
	r := ipfix.Record{Flow: &a.Flow, Start: began(&a.Flow, &a.Told), End: a.At, Reason: ipfix.ActiveTimeout}
	r.Packets, r.Bytes = a.Told.Since(&a.Flow)
	return r
}

// began is when that began which the counters of a record count: a collector takes them to lie between start and end.
func began(f *model.Flow, told *table.Told) int64 {
	if told.At != 0 {
		return told.At
	}
	return f.First
}
