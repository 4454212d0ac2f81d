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
	// endsKept is how many ended flows of a namespace wait for the collector at most: 18 MB, two seconds at 50,000 a second.
	endsKept = 100_000
	// sendEvery is how often what ended is sent, templatesEvery how often templates are told again over UDP, retryEvery how often a
	// collector that is away is tried, and sendTime how long it may take a message.
	sendEvery      = 100 * time.Millisecond
	templatesEvery = 30 * time.Second
	retryEvery     = time.Second
	sendTime       = 10 * time.Second
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
	left      []table.Ended // taken, not yet in a message
	last      int           // records in the message before

	mu    sync.Mutex
	stats sendStats
}

// sendStats are what a scrape is told.
type sendStats struct {
	up                bool
	records, messages uint64
	refused           uint64 // records in messages of which the network said that nobody took them
	past              table.EndStats
}

func newSender(n *namespace, domain uint32, o *options, log *slog.Logger) *sender {
	most := maxUDP
	if o.ipfixProto == "tcp" {
		most = maxTCP
	}
	return &sender{n: n, network: o.ipfixProto, addr: o.ipfix, log: log, enc: ipfix.NewEncoder(domain, uint32(o.ipfixPEN), most), ends: make([]table.Ended, 256)}
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
		if len(s.left) == 0 {
			w := s.n.watching()
			if s.w == nil {
				s.w = w
			}
			if s.w == nil {
				break
			}
			n := s.w.table.TakeEnds(time.Now().UnixNano(), s.ends)
			s.left = s.ends[:n]
			if n == 0 {
				if w == s.w {
					break
				}
				s.retire()
				continue
			}
		}
		for len(s.left) > 0 {
			r := record(&s.left[0])
			if !s.enc.Append(&r) {
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

// record is what is told of an end.
func record(e *table.Ended) ipfix.Record {
	r := ipfix.Record{Flow: &e.Flow, End: e.At, Bytes: e.Flow.Bytes, Packets: e.Flow.Packets}
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
