package finding

import (
	"fmt"
	"strings"

	"ctview/model"
)

// Astray counts INVALID TCP packets that say how the two directions of connections miss each other here.
type Astray struct {
	OtherZone int    // half-open flows of which an answer is INVALID: it was looked up in another zone
	Zone      uint16 // of one of these flows
	NoAnswer  int    // half-open flows whose host goes on as if it had been answered: the answer takes another way
	NoAsking  int    // answers (SYN-ACK) to what never passed here

	Family  model.Family // of Example
	Example [16]byte     // the host behind one of them
}

// A stray is an INVALID TCP packet, by its tuple.
type stray struct {
	synAck bool
	met    bool // a flow has its tuple in either direction
}

// sampleAge is how long an INVALID packet is worth something.
const sampleAge = 60 * second

func strays(q *Question) map[model.Tuple]*stray {
	var m map[model.Tuple]*stray
	for i := range q.Samples {
		x := &q.Samples[i]
		if x.State != model.CtInvalid || x.Tuple.Proto != model.ProtoTCP || !x.HasPort || q.Now-x.At > sampleAge {
			continue
		}
		if m == nil {
			m = map[model.Tuple]*stray{}
		}
		m[x.Tuple] = &stray{synAck: strings.Contains(x.TCP, "SYN") && strings.Contains(x.TCP, "ACK")}
	}
	return m
}

// belongs looks whether INVALID packets have the tuple of a flow.
func (s *surveyor) belongs(f *model.Flow) {
	half := halfOpen(f) && unanswered(f)
	if x := s.strays[f.Reply()]; x != nil {
		x.met = true
		if half {
			s.Astray.OtherZone++
			s.Astray.Zone, s.Astray.Family, s.Astray.Example = f.Zone, f.Family, f.Src
		}
	}
	if x := s.strays[f.Orig()]; x != nil {
		x.met = true
		if half && !x.synAck {
			s.Astray.NoAnswer++
			s.Astray.Family, s.Astray.Example = f.Family, f.Src
		}
	}
}

// judgeStrays counts answers without a flow.
func (s *surveyor) judgeStrays() {
	for t, x := range s.strays {
		if x.synAck && !x.met {
			s.Astray.NoAsking++
			if s.Astray.OtherZone+s.Astray.NoAnswer == 0 {
				s.Astray.Family, s.Astray.Example = t.Family, t.Dst
			}
		}
	}
}

// leastAstray is how many flows or packets make a case.
const leastAstray = 3

// asymmetric tells of connections whose two directions do not meet here. It takes samples of INVALID packets, which the
// States screen collects where it is asked to.
func asymmetric(_ *Engine, in *Input) []Finding {
	if in.Survey == nil {
		return nil
	}
	a := &in.Survey.Astray
	f := Finding{Name: "asymmetric", Severity: Warning, Place: InFlows}
	host := address(a.Family, a.Example)
	half := "tcp and unreplied and state {syn_sent, syn_recv, syn_sent2}"
	switch max(a.OtherZone, a.NoAnswer, a.NoAsking) {
	case 0, 1, leastAstray - 1:
		return nil
	case a.OtherZone:
		f.Amount, f.Filter = int64(a.OtherZone), fmt.Sprintf("%s and zone %d", half, a.Zone)
		f.Text = fmt.Sprintf("the answers to %s in zone %d are INVALID, such as those to %s: they are looked up in another zone",
			plural(a.OtherZone, "half-open flow"), a.Zone, host)
		f.Cures = []Cure{{"give the replies the same zone: a rule for packets to these hosts beside the one for packets from them", ""}}
	case a.NoAnswer:
		f.Amount, f.Filter = int64(a.NoAnswer), half
		f.Text = fmt.Sprintf("%s go on INVALID, as if they had been answered, such as of %s: the answers do not pass this machine", plural(a.NoAnswer, "half-open flow"), host)
		f.Cures = []Cure{{"the route back, on the hosts and routers beyond; or, where it is meant so, NOTRACK for these hosts", "ctview notrack add 'host " + host + "'" + netnsFlag(in)}}
	default:
		f.Amount, f.Place = int64(a.NoAsking), InEvents
		f.Text = fmt.Sprintf("%s of TCP for connections that did not begin here, such as to %s: only the way back passes this machine", plural(a.NoAsking, "answer"), host)
		f.Cures = []Cure{{"the route to the server, on the hosts and routers before; or, where it is meant so, NOTRACK for these hosts", "ctview notrack add 'host " + host + "'" + netnsFlag(in)}}
	}
	return []Finding{f}
}
