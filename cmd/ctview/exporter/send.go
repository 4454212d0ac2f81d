package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"ctview/cmd/ctview/exporter/ipfix"
	"ctview/model"
	"ctview/model/table"
)

const (
	// endsKept is how many ended flows of a namespace wait for the collector at most: 23 MB, two seconds at 50,000 a second.
	endsKept = 100_000
	// sendEvery is how often what ended is sent, templatesEvery how often templates are told again over UDP, retryEvery how often a
	// collector that is away is tried, and sendTime how long it may take a message.
	sendEvery      = 100 * time.Millisecond
	templatesEvery = 30 * time.Second
	retryEvery     = time.Second
	sendTime       = 10 * time.Second
	atOnce         = 256 // records taken from a table
	maxUDP         = 1400
	maxTCP         = 16 << 10
)

// A sender sends what ends in a namespace to an IPFIX collector. What the collector does not take waits in the table's queue,
// which is bounded, and is counted there when it is lost.
type sender struct {
	n       *namespace
	network string
	addr    string
	log     *slog.Logger

	enc       *ipfix.Encoder
	conn      net.Conn
	w         *watching
	templates time.Time // when they were told last
	options   bool      // are to be told
	ends      []table.Ended
	keys      []model.Key
	active    []table.Active
	records   []ipfix.Record
	left      []ipfix.Record // taken, not yet in a message
	last      int            // records in the message before

	mu    sync.Mutex
	stats sendStats
}

// sendStats are what a scrape is told.
type sendStats struct {
	up                bool
	records, messages uint64
	active            uint64 // records of flows that go on that were taken
	refused           uint64 // records in messages of which the network said that nobody took them
	past              table.EndStats
}

func newSender(n *namespace, domain uint32, o *options, log *slog.Logger) *sender {
	most := maxUDP
	if o.ipfixProto == "tcp" {
		most = maxTCP
	}
	return &sender{n: n, network: o.ipfixProto, addr: o.ipfix, log: log, enc: ipfix.NewEncoder(domain, uint32(o.ipfixPEN), most),
		ends: make([]table.Ended, atOnce), keys: make([]model.Key, 0, atOnce), active: make([]table.Active, atOnce)}
}

// run sends until ctx ends, then what is left, once.
func (s *sender) run(ctx context.Context) {
	told := ""
	for {
		err := s.step(ctx)
		s.mu.Lock()
		s.stats.up = err == nil
		s.mu.Unlock()
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
			if err == nil {
				_ = s.step(context.WithoutCancel(ctx)) // it ends anyway
			}
			s.drop()
			return
		case <-time.After(wait):
		}
	}
}

func (s *sender) drop() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

// step sends all that ended.
func (s *sender) step(ctx context.Context) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	if s.network == "udp" && time.Since(s.templates) > templatesEvery {
		if err := s.tell(); err != nil {
			return err
		}
	}
	for {
		if len(s.left) == 0 && !s.take(ctx) {
			break
		}
		for len(s.left) > 0 {
			if !s.enc.Append(&s.left[0]) {
				if err := s.flush(); err != nil {
					return err
				}
				continue
			}
			s.left = s.left[1:]
		}
	}
	if s.options {
		if !s.enc.AppendOptions(model.Escape(s.n.spec), s.loss()) {
			if err := s.flush(); err != nil {
				return err
			}
			s.enc.AppendOptions(model.Escape(s.n.spec), s.loss())
		}
		s.options = false
	}
	return s.flush()
}

// take takes records from the table, of what ended before what goes on; false where there is none now.
func (s *sender) take(ctx context.Context) bool {
	for {
		w := s.n.watching()
		if s.w == nil {
			s.w = w
		}
		if s.w == nil {
			return false
		}
		s.records = s.records[:0]
		for i := range s.ends[:s.w.table.TakeEnds(time.Now().UnixNano(), s.ends)] {
			s.records = append(s.records, ended(&s.ends[i]))
		}
		if len(s.records) == 0 && w == s.w {
			s.takeActive(ctx)
		}
		s.left = s.records
		if len(s.left) > 0 || w == s.w {
			return len(s.left) > 0
		}
		s.retire()
	}
}

// takeActive takes records of flows that go on, whose counters it asks for: those of the table may be as old as its last dump.
func (s *sender) takeActive(ctx context.Context) {
	if s.keys = s.w.table.Due(time.Now().UnixNano(), s.keys[:0]); len(s.keys) == 0 {
		return
	}
	if s.w.sync.Kernel().Refresh(ctx, s.keys, s.w.table) != nil {
		return // they stay due; who watches the namespace tells what is wrong
	}
	n := s.w.table.TakeActive(time.Now().UnixNano(), s.keys, s.active)
	for i := range s.active[:n] {
		s.records = append(s.records, goesOn(&s.active[i]))
	}
	s.mu.Lock()
	s.stats.active += uint64(n)
	s.mu.Unlock()
}

// retire goes on to the next life of the namespace.
func (s *sender) retire() {
	e := s.w.table.EndStats()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.past = add(s.stats.past, e)
	s.w = nil
}

func add(a, b table.EndStats) table.EndStats {
	return table.EndStats{Heard: a.Heard + b.Heard, Unheard: a.Unheard + b.Unheard, Lost: a.Lost + b.Lost,
		LostPackets: a.LostPackets + b.LostPackets, LostBytes: a.LostBytes + b.LostBytes}
}

func (s *sender) loss() *ipfix.Loss {
	st := s.told()
	l := &ipfix.Loss{Flows: st.past.Lost + st.refused, Packets: st.past.LostPackets, Bytes: st.past.LostBytes, Exported: st.records, Unheard: st.past.Unheard}
	if s.w != nil {
		l.Events = s.w.table.Stats().Lost
	}
	return l
}

// told returns the counts; past is with the present life.
func (s *sender) told() sendStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	if w := s.n.watching(); w != nil {
		st.past = add(st.past, w.table.EndStats())
	}
	return st
}

// connect begins a transport session where there is none; the collector is told every template that it may need.
func (s *sender) connect(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	d := net.Dialer{Timeout: sendTime}
	conn, err := d.DialContext(ctx, s.network, s.addr)
	if err != nil {
		return err
	}
	s.conn = conn
	if s.network == "tcp" {
		s.enc.Restart()
	}
	return s.tell()
}

func (s *sender) tell() error {
	s.templates, s.options = time.Now(), true
	return s.enc.Templates(time.Now().UnixNano(), s.write)
}

func (s *sender) write(b []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return err
	}
	if _, err := s.conn.Write(b); err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) { // told of what was sent before; this one was not sent
			s.mu.Lock()
			s.stats.refused += uint64(s.last)
			s.mu.Unlock()
			s.last = 0
		}
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

func (s *sender) flush() error {
	b := s.enc.Message(time.Now().UnixNano())
	if b == nil {
		return nil
	}
	if err := s.write(b); err != nil {
		return err
	}
	s.mu.Lock()
	s.stats.records += uint64(s.enc.Records())
	s.stats.messages++
	s.mu.Unlock()
	s.last = s.enc.Records()
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
