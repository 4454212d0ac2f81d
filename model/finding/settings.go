package finding

import (
	"fmt"
	"strconv"
	"time"

	"ctview/model"
)

// switches tells of settings that keep ctview from showing what it could.
func switches(_ *Engine, in *Input) (all []Finding) {
	if !in.HasSystem {
		return nil
	}
	for _, s := range []struct {
		name     string
		set      model.Setting
		off      string
		severity Severity
		after    string
	}{
		{"nf_conntrack_events", in.System.Events, EventsOff, Warning, ""},
		{"nf_conntrack_acct", in.System.Acct, AcctOff, Note, " for flows that begin later"},
		{"nf_conntrack_timestamp", in.System.Timestamp, TimestampOff, Note, " for flows that begin later"},
	} {
		if s.set.OK && s.set.Value == 0 {
			all = append(all, Finding{Name: s.name[len("nf_conntrack_"):] + "-off", Place: InStats, Severity: s.severity,
				Text: s.name + "=0: " + s.off, Cures: []Cure{{"on" + s.after, sysctl(in, s.name, "1")}}, Amount: 1})
		}
	}
	return all
}

// What is missing where a setting is 0: the words that doctor uses, too.
const (
	EventsOff    = "no events; changes show only when ctview reads the table again"
	AcctOff      = "no packets, bytes and rates"
	TimestampOff = "ages count from when ctview first saw a flow"
)

// A bound is what a timeout may be, in seconds. Kernel and standard are the kernel's own default.
type bound struct {
	name           string
	set            model.Setting
	low, high, std int64
	short, long    string // what happens below low and above high
}

func bounds(s *model.System) []bound {
	const cut = "connections that pause are cut"
	const stay = "entries stay that nobody needs"
	tcp := func(st model.State, name string, low, high, std int64) bound {
		return bound{"tcp_timeout_" + name, s.TCPTimeouts[st], low, high, std, cut, stay}
	}
	return []bound{
		tcp(model.TCPEstablished, "established", 300, 432000, 432000),
		tcp(model.TCPSynSent, "syn_sent", 5, 600, 120), tcp(model.TCPSynRecv, "syn_recv", 5, 600, 60),
		tcp(model.TCPFinWait, "fin_wait", 5, 3600, 120), tcp(model.TCPCloseWait, "close_wait", 5, 43200, 60),
		tcp(model.TCPLastAck, "last_ack", 2, 600, 30), tcp(model.TCPTimeWait, "time_wait", 1, 3600, 120),
		tcp(model.TCPClose, "close", 1, 600, 10),
		{"udp_timeout", s.UDPTimeout, 5, 600, 30, "answers come too late", stay},
		{"udp_timeout_stream", s.UDPStream, 10, 3600, 120, cut, "a port stays with its first peer for so long, and dead paths with it"},
		{"icmp_timeout", s.ICMPTimeout, 2, 600, 30, "answers come too late", stay},
		{"icmpv6_timeout", s.ICMPv6Timeout, 2, 600, 30, "answers come too late", stay},
		{"generic_timeout", s.GenericTimeout, 10, 7200, 600, cut, stay},
	}
}

// timeouts tells of timeouts that nobody can have meant.
func timeouts(_ *Engine, in *Input) (all []Finding) {
	if !in.HasSystem {
		return nil
	}
	for _, b := range bounds(&in.System) {
		if !b.set.OK || b.set.Value >= b.low && b.set.Value <= b.high {
			continue
		}
		why := b.short
		if b.set.Value > b.high {
			why = b.long
		}
		all = append(all, Finding{Name: "timeout", Subject: b.name, Place: InStats, Severity: Warning, Amount: 1,
			Text:  fmt.Sprintf("nf_conntrack_%s is %s: %s", b.name, model.AppendDurationLong(nil, time.Duration(b.set.Value)*time.Second), why),
			Cures: []Cure{{"the kernel's default", sysctl(in, "nf_conntrack_"+b.name, strconv.FormatInt(b.std, 10))}}})
	}
	return all
}

// uncounted tells of flows without counters where others have some.
func uncounted(_ *Engine, in *Input) []Finding {
	s := in.Survey
	if s == nil || !in.HasSystem || !in.System.Acct.OK || in.System.Acct.Value == 0 || s.Uncounted < 10 || share(s.Uncounted, in.Stats.Flows) < 0.01 {
		return nil
	}
	return []Finding{{Name: "uncounted", Place: InStats, Amount: int64(s.Uncounted),
		Text: fmt.Sprintf("%s%s of %s flows have no counters: they began before nf_conntrack_acct was on, and no sum of bytes has them in",
			s.some(), count(s.Uncounted), count(in.Stats.Flows)),
		Cures: []Cure{{"it passes as they end; counting cannot be begun within a flow", ""}}}}
}
