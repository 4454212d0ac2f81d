package dryrun

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables/expr"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
	"ctview/model/filter"
)

// An xtEvaluator does for the legacy tables what evaluator does for nftables.
type xtEvaluator struct {
	rules  []ruleset.XTRule
	chains []ruleset.XTChain
	steps  int

	drop []string
	nat  []Met
	zone []Met
	help []Met
}

// hook runs the built-in chain of a hook in the tables named.
func (e *xtEvaluator) hook(chain string, p *packet, tables ...string) outcome {
	v6 := p.family == uint8(model.IPv6)
	for _, t := range tables {
		for _, c := range e.chains {
			if c.Table != t || c.Name != chain || c.IPv6 != v6 {
				continue
			}
			o := e.chain(t, chain, v6, p, Yes, 0)
			if o&falls != 0 {
				if c.Policy == "DROP" {
					e.drop = append(e.drop, fmt.Sprintf("iptables %s/%s (policy DROP)", t, chain))
					o |= drops
				} else {
					o |= accepts
				}
			}
			if o &^= falls; o != accepts {
				return o
			}
		}
	}
	return accepts
}

func (e *xtEvaluator) chain(table, chain string, v6 bool, p *packet, reach Tri, depth int) (out outcome) {
	if depth > 16 {
		return accepts | drops
	}
	for i := range e.rules {
		r := &e.rules[i]
		if r.Table != table || r.Chain != chain || r.IPv6 != v6 {
			continue
		}
		if e.steps++; e.steps > maxSteps {
			return out | accepts | drops
		}
		m, target, jump := matchLegacy(r, p)
		if m == No {
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
			reach = min(reach, Maybe)
		}
	}
	return out | falls
}

// target says what a rule that matches (m) does.
func (e *xtEvaluator) target(r *ruleset.XTRule, target string, jump bool, p *packet, sure, m Tri, depth int) step {
	unsure := m != Yes
	where := "iptables " + r.Table + ": " + r.Line
	switch target {
	case "ACCEPT":
		return step{out: accepts, next: unsure}
	case "DROP", "REJECT", "SYNPROXY": // of what is in mid-stream
		e.drop = append(e.drop, where)
		return step{out: drops, next: unsure}
	case "RETURN":
		return step{next: unsure, back: true}
	case "MASQUERADE", "SNAT", "DNAT", "REDIRECT", "NETMAP":
		e.nat = append(e.nat, Met{where, sure, legacyTarget(target, r)})
		return step{out: translates, next: unsure}
	case "QUEUE", "NFQUEUE", "TPROXY":
		return step{out: accepts | drops, next: unsure}
	case "CT":
		if strings.Contains(r.Line, "--zone") {
			e.zone = append(e.zone, Met{Where: where, Sure: sure})
		}
		if r.GivesHelper() {
			e.help = append(e.help, Met{Where: where, Sure: sure})
		}
	}
	for _, c := range e.chains {
		if c.Table == r.Table && c.Name == target && c.IPv6 == r.IPv6 {
			o := e.chain(r.Table, target, r.IPv6, p, sure, depth+1)
			if !jump {
				return step{o &^ falls, unsure, o&falls != 0}
			}
			return step{o &^ falls, unsure || o&falls != 0, false}
		}
	}
	return step{next: true}
}

// match compares a packet with the options of a rule.
func matchLegacy(r *ruleset.XTRule, p *packet) (t Tri, target string, jump bool) {
	t = Yes
	inv := false
	for i := 0; i < len(r.Args); i++ {
		a := r.Args[i]
		if a == "!" {
			inv = true
			continue
		}
		arg := ""
		if i+1 < len(r.Args) {
			arg = r.Args[i+1]
		}
		var o Tri
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
		case "--dst-type":
			o = addrTypeTri(p.dstLocal, arg)
		case "--src-type":
			o = addrTypeTri(p.srcLocal, arg)
		case "--ctstate", "--state":
			o = stateTri(p.state, arg)
		case "--comment":
			o = Yes
		case "--tcp-flags":
			mask, ok := tcpFlags(arg)
			if i++; !ok || i+1 >= len(r.Args) {
				return Maybe, "", false
			}
			want, ok := tcpFlags(r.Args[i+1])
			if o = p.flagsTri(mask, want, false); !ok {
				o = Maybe
			}
		case "--syn":
			o, arg = p.flagsTri(0x17, 0x02, false), "" // FIN, SYN, RST and ACK
		default:
			o = Maybe
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

// tcpFlags reads a list of flags as iptables-save writes it.
func tcpFlags(s string) (b byte, ok bool) {
	bits := map[string]byte{"FIN": 0x01, "SYN": 0x02, "RST": 0x04, "PSH": 0x08, "ACK": 0x10, "URG": 0x20, "ALL": 0x3f, "NONE": 0}
	for w := range strings.SplitSeq(s, ",") {
		v, known := bits[w]
		if !known {
			return 0, false
		}
		b |= v
	}
	return b, true
}

// addrTypeTri judges a type of address of "-m addrtype": only whether it is this host's is known.
func addrTypeTri(local Tri, s string) Tri {
	switch s {
	case "LOCAL":
		return local
	case "UNICAST":
		return min(local.not(), Maybe)
	}
	return Maybe
}

func prefixTri(have netip.Prefix, s string) Tri {
	want, err := filter.ParsePrefix(s)
	switch {
	case err != nil:
		return Maybe
	case want.Bits() == 0:
		return Yes
	case !have.IsValid():
		return Maybe
	case want.Bits() <= have.Bits() && want.Contains(have.Addr()):
		return Yes
	case want.Overlaps(have):
		return Maybe
	}
	return No
}

func ifTri(have, want string) Tri {
	if have == "" {
		return Maybe
	}
	if w, ok := strings.CutSuffix(want, "+"); ok {
		return triOf(strings.HasPrefix(have, w))
	}
	return triOf(have == want)
}

func protoTri(p *packet, s string) Tri {
	if s == "ipv6-icmp" {
		s = "icmpv6"
	}
	w, err := model.ParseProto(s)
	if err != nil || !p.hasProto {
		return Maybe
	}
	return triOf(uint8(w) == p.proto)
}

func portsTri(have model.PortRange, s string) Tri {
	t := No
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, ok := strings.Cut(part, ":")
		if !ok {
			hi = lo
		}
		var a, b uint16
		if _, err := fmt.Sscan(lo, &a); err != nil {
			return Maybe
		}
		if _, err := fmt.Sscan(hi, &b); err != nil {
			return Maybe
		}
		t = max(t, rangeTri(have, a, b))
	}
	return t
}

func stateTri(state uint32, s string) Tri {
	want := map[uint32]string{expr.CtStateBitINVALID: "INVALID", expr.CtStateBitESTABLISHED: "ESTABLISHED",
		expr.CtStateBitRELATED: "RELATED", expr.CtStateBitNEW: "NEW", expr.CtStateBitUNTRACKED: "UNTRACKED"}[state]
	for part := range strings.SplitSeq(s, ",") {
		if part == want {
			return Yes
		}
	}
	return No
}
