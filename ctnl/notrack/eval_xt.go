package notrack

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables/expr"

	"ctview/model"
)

// An xtEvaluator does for the legacy tables what evaluator does for nftables.
type xtEvaluator struct {
	rules  []xtRule
	chains []xtChain
	steps  int

	drop []string
	nat  []met
	zone []met
}

// hook runs the built-in chain of a hook in the tables named.
func (e *xtEvaluator) hook(chain string, p *packet, tables ...string) outcome {
	v6 := p.family == uint8(model.IPv6)
	for _, t := range tables {
		for _, c := range e.chains {
			if c.table != t || c.name != chain || c.v6 != v6 {
				continue
			}
			o := e.chain(t, chain, v6, p, yes, 0)
			if o&falls != 0 {
				if c.policy == "DROP" {
					e.drop = append(e.drop, fmt.Sprintf("iptables %s/%s (policy DROP)", t, chain))
					o |= drops
				} else {
					o |= accepts
				}
			}
			if o&accepts == 0 {
				return drops
			}
			if o&drops != 0 {
				return accepts | drops
			}
		}
	}
	return accepts
}

func (e *xtEvaluator) chain(table, chain string, v6 bool, p *packet, reach tri, depth int) (out outcome) {
	if depth > 16 {
		return accepts | drops
	}
	for i := range e.rules {
		r := &e.rules[i]
		if r.table != table || r.chain != chain || r.v6 != v6 {
			continue
		}
		if e.steps++; e.steps > maxSteps {
			return out | accepts | drops
		}
		m, target, jump := r.match(p)
		if m == no {
			continue
		}
		s := e.target(r, target, jump, p, min(m, reach), m, depth)
		out |= s.out
		if s.back {
			out |= falls
		}
		if !s.next {
			return out
		}
		if s.out != 0 || s.back {
			reach = min(reach, maybe)
		}
	}
	return out | falls
}

// target says what a rule that matches (m) does.
func (e *xtEvaluator) target(r *xtRule, target string, jump bool, p *packet, sure, m tri, depth int) step {
	unsure := m != yes
	where := "iptables " + r.table + ": " + r.line
	switch target {
	case "ACCEPT":
		return step{out: accepts, next: unsure}
	case "DROP", "REJECT":
		e.drop = append(e.drop, where)
		return step{out: drops, next: unsure}
	case "RETURN":
		return step{next: unsure, back: true}
	case "MASQUERADE", "SNAT", "DNAT", "REDIRECT", "NETMAP":
		e.nat = append(e.nat, met{where, sure})
		return step{out: accepts, next: unsure}
	case "QUEUE", "NFQUEUE", "SYNPROXY", "TPROXY":
		return step{out: accepts | drops, next: unsure}
	case "CT":
		if strings.Contains(r.line, "--zone") {
			e.zone = append(e.zone, met{where, sure})
		}
	}
	for _, c := range e.chains {
		if c.table == r.table && c.name == target && c.v6 == r.v6 {
			o := e.chain(r.table, target, r.v6, p, sure, depth+1)
			if !jump {
				return step{o &^ falls, unsure, o&falls != 0}
			}
			return step{o &^ falls, unsure || o&falls != 0, false}
		}
	}
	return step{next: true}
}

// match compares a packet with the options of a rule.
func (r *xtRule) match(p *packet) (t tri, target string, jump bool) {
	t = yes
	inv := false
	for i := 0; i < len(r.args); i++ {
		a := r.args[i]
		if a == "!" {
			inv = true
			continue
		}
		arg := ""
		if i+1 < len(r.args) {
			arg = r.args[i+1]
		}
		var o tri
		switch a {
		case "-j", "-g":
			return t, arg, a == "-j"
		case "-m":
			i++
			continue
		case "-s":
			o = prefixTri(p.src, arg)
		case "-d":
			o = prefixTri(p.dst, arg)
		case "-i":
			o = ifTri(p.iif, arg)
		case "-o":
			o = ifTri(p.oif, arg)
		case "-p":
			o = protoTri(p, arg)
		case "--sport", "--source-port", "--sports":
			o = portsTri(p.sport, arg)
		case "--dport", "--destination-port", "--dports":
			o = portsTri(p.dport, arg)
		case "--ctstate", "--state":
			o = stateTri(p.state, arg)
		case "--comment":
			o = yes
		default:
			o = maybe
			if strings.HasPrefix(arg, "-") || arg == "!" {
				arg = ""
			}
		}
		if inv {
			o = o.not()
		}
		inv = false
		t = min(t, o)
		if arg != "" {
			i++
		}
	}
	return t, "", false
}

func prefixTri(have netip.Prefix, s string) tri {
	want, err := model.ParsePrefix(s)
	switch {
	case err != nil:
		return maybe
	case want.Bits() == 0:
		return yes
	case !have.IsValid():
		return maybe
	case want.Bits() <= have.Bits() && want.Contains(have.Addr()):
		return yes
	case want.Overlaps(have):
		return maybe
	}
	return no
}

func ifTri(have, want string) tri {
	if have == "" {
		return maybe
	}
	if w, ok := strings.CutSuffix(want, "+"); ok {
		return triOf(strings.HasPrefix(have, w))
	}
	return triOf(have == want)
}

func protoTri(p *packet, s string) tri {
	if s == "ipv6-icmp" {
		s = "icmpv6"
	}
	w, err := model.ParseProto(s)
	if err != nil || !p.hasProto {
		return maybe
	}
	return triOf(uint8(w) == p.proto)
}

func portsTri(have model.PortRange, s string) tri {
	t := no
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, ok := strings.Cut(part, ":")
		if !ok {
			hi = lo
		}
		var a, b uint16
		if _, err := fmt.Sscan(lo, &a); err != nil {
			return maybe
		}
		if _, err := fmt.Sscan(hi, &b); err != nil {
			return maybe
		}
		t = max(t, rangeTri(have, a, b))
	}
	return t
}

func stateTri(state uint32, s string) tri {
	want := map[uint32]string{expr.CtStateBitINVALID: "INVALID", expr.CtStateBitESTABLISHED: "ESTABLISHED",
		expr.CtStateBitRELATED: "RELATED", expr.CtStateBitNEW: "NEW", expr.CtStateBitUNTRACKED: "UNTRACKED"}[state]
	for part := range strings.SplitSeq(s, ",") {
		if part == want {
			return yes
		}
	}
	return no
}
