package finding

import (
	"fmt"

	"ctview/model"
)

// sources tells of hosts that flood, scan, are not answered, or have the table to themselves. Of each it says one thing.
func sources(_ *Engine, in *Input) (all []Finding) {
	if in.Survey == nil {
		return nil
	}
	for i := range in.Survey.Sources {
		p := &in.Survey.Sources[i]
		for _, judge := range []func(*Input, *Source) (Finding, bool){synFlood, scan, ignored, oneHost} {
			if f, ok := judge(in, p); ok {
				f.Subject = address(p.Family, p.Addr)
				all = append(all, f)
				break
			}
		}
	}
	return all
}

// mostly is the part of a host's flows from which on something is said of the host.
const mostly = 0.8

// ofNew adds how many of the new flows are a host's unanswered ones, where that is known and much.
func (p *Source) ofNew(in *Input) string {
	s := in.Survey
	if !s.HasNew || s.New < 100 || 2*p.NewUnanswered < s.New {
		return ""
	}
	return ", " + percent(p.NewUnanswered, s.New) + " of the new ones"
}

// synFlood: TCP that is begun and not finished, towards few targets.
func synFlood(in *Input, p *Source) (f Finding, ok bool) {
	if p.HalfOpen < manyHalfOpen || share(p.HalfOpen, p.Flows) < mostly || 2*p.To.HalfOpen < p.HalfOpen {
		return f, false
	}
	src, to := address(p.Family, p.Addr), p.To.endpoint()
	f = Finding{Name: "syn-flood-source", Severity: Warning, Amount: int64(p.HalfOpen), Place: InFlows,
		Filter: "tcp and src " + src + " and state {syn_sent, syn_recv, syn_sent2}"}
	f.Text = fmt.Sprintf("%s: %s TCP flows half-open%s, %s of them to %s", src, count(p.HalfOpen), p.ofNew(in),
		percent(p.To.HalfOpen, p.HalfOpen), to)
	if n := in.limit(); n > 0 && share(p.HalfOpen, n) >= 0.3 {
		f.Severity = Severe
	}
	f.Cures = []Cure{in.block(p.Family, p.Addr, in.local(p.To.Family, p.To.Addr)), in.forget(f.Filter)}
	return f, true
}

// scan: many targets, and hardly one that answers.
func scan(in *Input, p *Source) (f Finding, ok bool) {
	if p.Failed < manyTargets || share(p.Failed, p.Flows) < mostly || max(p.Addrs, p.Ports) < manyTargets || 2*max(p.Addrs, p.Ports) < min(p.Failed, keepDistinct) {
		return f, false
	}
	src := address(p.Family, p.Addr)
	f = Finding{Name: "scan", Severity: Warning, Amount: int64(p.Failed), Place: InFlows,
		Filter: "src " + src + " and (unreplied or state close)"}
	f.Text = fmt.Sprintf("%s: %s flows unanswered or refused%s, %s of its own: it tries %s", src, count(p.Failed), p.ofNew(in),
		percent(p.Failed, p.Flows), p.tries())
	f.Cures = []Cure{in.block(p.Family, p.Addr, in.local(p.Family, p.Tried)), in.forget(f.Filter)}
	return f, true
}

// tries names the addresses and ports of what failed.
func (p *Source) tries() string {
	n := func(v int, one, many string) string {
		switch {
		case v == 1:
			return "1 " + one
		case v >= keepDistinct:
			return count(v) + " " + many + " or more"
		}
		return count(v) + " " + many
	}
	if p.Ports == 0 {
		return n(p.Addrs, "address", "addresses")
	}
	return n(p.Addrs, "address", "addresses") + " and " + n(p.Ports, "port", "ports")
}

// ignored: nobody answers, whatever it is.
func ignored(in *Input, p *Source) (f Finding, ok bool) {
	if p.Unanswered < manyHalfOpen || share(p.Unanswered, p.Flows) < mostly || share(p.Unanswered, in.Stats.Flows) < 0.2 && p.ofNew(in) == "" {
		return f, false
	}
	src := address(p.Family, p.Addr)
	f = Finding{Name: "unanswered", Severity: Warning, Amount: int64(p.Unanswered), Place: InFlows, Filter: "src " + src + " and unreplied"}
	new := p.ofNew(in)
	if new == "" {
		new = ", " + percent(p.Unanswered, in.Stats.Flows) + " of all"
	}
	f.Text = fmt.Sprintf("%s: %s flows never answered%s, to %s", src, count(p.Unanswered), new, p.tries())
	f.Cures = []Cure{in.block(p.Family, p.Addr, in.local(p.Family, p.Tried)), in.forget(f.Filter)}
	return f, true
}

// oneHost: most of the flows are one host's, and they are many for this table.
func oneHost(in *Input, p *Source) (f Finding, ok bool) {
	limit := in.limit()
	if p.Flows < 1000 || share(p.Flows, in.Survey.Flows) < 0.5 || limit == 0 || share(p.Flows, limit) < 0.04 {
		return f, false
	}
	src := address(p.Family, p.Addr)
	f = Finding{Name: "one-host", Severity: Warning, Amount: int64(p.Flows), Place: InGroups, Filter: "src " + src}
	f.Text = fmt.Sprintf("%s has %s flows, %s of all and %s of what the table can hold", src, count(p.Flows), percent(p.Flows, in.Survey.Flows),
		percent(p.Flows, limit))
	f.Cures = []Cure{{"see where they go", "ctview list --group-by dst,dport 'src " + src + "'" + netnsFlag(in)},
		in.limitTo(p.Family, p.Addr, p.Flows/4)}
	return f, true
}

func (t *Target) endpoint() string {
	return string(model.AppendEndpoint(nil, &model.Tuple{Dst: t.Addr, Dport: t.Port, Proto: t.Proto, Family: t.Family}, model.Destination))
}

func (t *Target) filter() string {
	return t.Proto.String() + " and dst " + address(t.Family, t.Addr) + fmt.Sprintf(" and dport %d", t.Port)
}

// targets tells of services that are flooded, or answer for somebody else's benefit.
func targets(_ *Engine, in *Input) (all []Finding) {
	if in.Survey == nil {
		return nil
	}
	for i := range in.Survey.Targets {
		t := &in.Survey.Targets[i]
		for _, judge := range []func(*Input, *Target) (Finding, bool){flooded, amplifying} {
			if f, ok := judge(in, t); ok {
				f.Subject = t.endpoint()
				all = append(all, f)
				break
			}
		}
	}
	return all
}

// flooded: half-open TCP from many sources. One source is told of by itself.
func flooded(in *Input, t *Target) (f Finding, ok bool) {
	if t.Proto != model.ProtoTCP || t.HalfOpen < manyHalfOpen || share(t.HalfOpen, t.Flows) < 0.5 || t.Sources < 10 {
		return f, false
	}
	for i := range in.Survey.Sources {
		if p := &in.Survey.Sources[i]; p.To.key() == t.key() && 2*p.To.HalfOpen > t.HalfOpen {
			return f, false
		}
	}
	more := ""
	if t.Sources >= keepDistinct {
		more = " or more"
	}
	f = Finding{Name: "syn-flood-target", Severity: Severe, Amount: int64(t.HalfOpen), Place: InFlows,
		Filter: t.filter() + " and state {syn_sent, syn_recv, syn_sent2}"}
	f.Text = fmt.Sprintf("%s: %s TCP flows half-open from %s%s sources, %s of all to it", t.endpoint(), count(t.HalfOpen), count(t.Sources), more,
		percent(t.HalfOpen, t.Flows))
	f.Cures = []Cure{in.slow(t, max(10, 2*(t.Answered+9)/10)), in.forget(f.Filter)}
	if n := in.System.TCPTimeouts[model.TCPSynRecv]; n.OK && n.Value > 20 {
		f.Cures = append(f.Cures, Cure{"let half-open flows go sooner", sysctl(in, "nf_conntrack_tcp_timeout_syn_recv", "20")})
	}
	return f, true
}

// leastAnswers is how many bytes a service has sent before anybody calls it an amplifier.
const leastAnswers = 1_000_000

// amplifying: a UDP service that answers much more than it is asked, mostly to one address, which is the victim.
func amplifying(in *Input, t *Target) (f Finding, ok bool) {
	if t.Proto != model.ProtoUDP || t.Answers < leastAnswers || t.Answers < leastGain*t.Asked || 2*t.MaxBytes < t.Answers {
		return f, false
	}
	victim := address(t.Family, t.MaxAsker)
	f = Finding{Name: "udp-amplification", Severity: Warning, Amount: int64(t.Answers), Place: InFlows,
		Filter: t.filter() + " and src " + victim}
	f.Text = fmt.Sprintf("%s (%s) answered %s with %s, %s of it to %s: somebody may be using it against that address", t.endpoint(),
		amplifiers[t.Port], model.AppendBytes(nil, t.Asked), model.AppendBytes(nil, t.Answers), percent(t.MaxBytes, t.Answers), victim)
	f.Cures = []Cure{in.slow(t, 20), in.block(t.Family, t.MaxAsker, in.local(t.Family, t.Addr))}
	return f, true
}
