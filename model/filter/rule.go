package filter

import (
	"fmt"
	"net/netip"
	"strings"

	"ctview/model"
)

// RuleFromFilter returns the rule that says the same as a filter, where a raw rule can: addresses and prefixes of the
// original direction, one protocol with ports, ICMP type and identifier, and, what the filter language does not have,
// "iif NAME". "host" and "port" alone are a rule of both directions. For anything else the error, always a
// *Error, names the part and why packets cannot be matched by it before they are tracked.
func RuleFromFilter(text string) (model.Rule, error) {
	rest, iface, err := cutIface(text)
	if err != nil {
		return model.Rule{}, err
	}
	b := &ruleBuilder{text: text, r: model.Rule{Iface: iface}, seen: map[string]bool{}}
	root, err := parseText(rest, &Options{})
	if err != nil {
		return model.Rule{}, err
	}
	if root != nil {
		if err := b.node(root); err != nil {
			return model.Rule{}, err
		}
	}
	return b.finish()
}

// cutIface takes "iif NAME", with an "and" beside it, out of a filter's text. Blanks take its place, so that places in
// the rest stay right.
func cutIface(text string) (rest, iface string, err error) {
	ws := ruleWords(text)
	for i, w := range ws {
		if w.s != "iif" && w.s != "iifname" {
			continue
		}
		if i+1 >= len(ws) {
			return "", "", &Error{Text: text, Pos: w.pos, End: w.end, Msg: w.s + " needs a value"}
		}
		from, to := w.pos, ws[i+1].end
		if i > 0 && (ws[i-1].s == "and" || ws[i-1].s == "&&") {
			from = ws[i-1].pos
		} else if i+2 < len(ws) && (ws[i+2].s == "and" || ws[i+2].s == "&&") {
			to = ws[i+2].end
		}
		return text[:from] + strings.Repeat(" ", to-from) + text[to:], strings.Trim(ws[i+1].s, `"`), nil
	}
	return text, "", nil
}

// A ruleBuilder collects the parts of a filter.
type ruleBuilder struct {
	text   string
	r      model.Rule
	seen   map[string]bool
	either int  // parts that mean both ends: host, port
	ends   int  // parts that mean one end
	port   bool // a port was named
}

// fail names a part of the filter. Predicates do not know their place: it is looked for, and is the whole text where
// the part is written in another way than canonically.
func (b *ruleBuilder) fail(part, format string, args ...any) error {
	pos := strings.Index(strings.ToLower(b.text), strings.ToLower(part))
	end := pos + len(part)
	if pos < 0 {
		pos, end = 0, len(b.text)
	}
	return &Error{Text: b.text, Pos: pos, End: end, Msg: fmt.Sprintf(format, args...)}
}

func (b *ruleBuilder) node(n *node) error {
	switch n.kind {
	case nodeAnd:
		for _, k := range n.kids {
			if err := b.node(k); err != nil {
				return err
			}
		}
		return nil
	case nodeOr:
		return b.fail(" or ", `a NOTRACK rule cannot say "or": add one rule for each part of %s`, n.append(nil))
	case nodeNot:
		return b.fail("not ", `a NOTRACK rule cannot say "not": leave %s out`, n.append(nil))
	}
	return b.pred(&n.pred)
}

// untold says why a packet cannot be matched by a field before it is tracked.
var untold = map[field]string{
	fieldZone:  "the zone is given to a packet by tracking, after NOTRACK has decided",
	fieldState: "a state is kept by tracking, which NOTRACK comes before", fieldCtState: "a state is kept by tracking, which NOTRACK comes before",
	fieldPhase: "a phase is kept by tracking, which NOTRACK comes before", fieldStatus: "status bits are kept by tracking, which NOTRACK comes before",
	fieldHelper: "a helper belongs to a tracked flow", fieldLabel: "labels belong to a tracked flow", fieldSecctx: "a security context belongs to a tracked flow",
	fieldMark: "this mark belongs to a tracked flow", fieldID: "an id belongs to a tracked flow",
	fieldPID: "a process holds a socket, which packets of the network have not reached yet", fieldProc: "a process holds a socket, which packets of the network have not reached yet",
	fieldUser: "a user owns a socket, which packets of the network have not reached yet", fieldCgroup: "a cgroup has sockets, which packets of the network have not reached yet",
	fieldIif: "an interface is written alone: iif NAME", fieldOif: "a packet is routed after NOTRACK has decided",
	fieldSrcKey: "a raw rule does not see GRE keys", fieldDstKey: "a raw rule does not see GRE keys",
	fieldICMPCode: "a NOTRACK rule takes the ICMP type and identifier, not the code",
	fieldText:     "a text search looks at flows, not packets", fieldSaved: "write the saved filter out",
}

func (b *ruleBuilder) pred(p *pred) error {
	part := string(p.append(nil))
	why, bad := untold[p.field]
	switch {
	case bad:
	case p.master:
		why, bad = "which flow announced it is known of tracked flows only", true
	case p.field == fieldFlag:
		why, bad = "it is known of tracked flows only", true
	case p.field >= fieldBytes && p.field <= fieldTimeout:
		why, bad = "amounts are counted for tracked flows only", true
	}
	if bad {
		return b.fail(part, "a NOTRACK rule cannot match %q: %s. Exact rules for the flows that match now can: --flows, or Ctrl-a and N on the screen", part, why)
	}
	if p.rel != relEq || len(p.vals) != 1 || p.vals[0].masked {
		return b.fail(part, "a NOTRACK rule takes one value or range, not %q", part)
	}
	return b.set(p, &p.vals[0], part)
}

// set writes a predicate into the rule.
func (b *ruleBuilder) set(p *pred, v *val, part string) error {
	name := p.word()
	if p.field == fieldAddr {
		name = p.ends.word("src", "dst", "host")
	}
	if p.field == fieldProto {
		name = "proto"
	}
	if b.seen[name] {
		return b.fail(part, "%q: a NOTRACK rule has one %s", part, name)
	}
	b.seen[name] = true
	switch p.field {
	case fieldProto:
		b.r.Proto, b.r.HasProto = model.Proto(v.lo), true
		return nil
	case fieldFamily:
		b.r.Family = model.Family(v.lo)
		return nil
	case fieldICMPType:
		b.r.ICMP.Type, b.r.ICMP.HasType = uint8(v.lo), true
		return b.single(v, part)
	case fieldICMPID:
		b.r.ICMP.ID, b.r.ICMP.HasID = uint16(v.lo), true
		return b.single(v, part)
	}
	var addr *netip.Prefix
	var ports *model.PortRange
	switch p.ends {
	case origSrc:
		addr, ports = &b.r.Src, &b.r.Sport
		b.ends++
	case origDst:
		addr, ports = &b.r.Dst, &b.r.Dport
		b.ends++
	case allEnds, origEnds:
		addr, ports = &b.r.Dst, &b.r.Dport
		b.either++
	default:
		return b.fail(part, "a NOTRACK rule is written in the original direction, not as %q: the answers are matched with it", part)
	}
	if p.field == fieldAddr {
		*addr = v.addr
		return nil
	}
	b.port = true
	if v.lo == 0 {
		return b.fail(part, "%q: port 0 is not a port", part)
	}
	*ports = model.PortRange{Lo: uint16(v.lo), Hi: uint16(v.hi)}
	return nil
}

func (b *ruleBuilder) single(v *val, part string) error {
	if v.hi != v.lo {
		return b.fail(part, "a NOTRACK rule takes one value, not %q", part)
	}
	return nil
}

// finish checks the rule as a whole.
func (b *ruleBuilder) finish() (model.Rule, error) {
	if b.either > 1 || b.either == 1 && b.ends > 0 {
		return model.Rule{}, b.fail(b.text, `"host" and "port" mean either end: with another address or port beside, write src, dst, sport or dport`)
	}
	if b.port && !b.r.HasProto {
		return model.Rule{}, b.fail("port", "a port needs a protocol: write tcp or udp with it")
	}
	if err := b.r.Check(); err != nil {
		return model.Rule{}, b.fail(b.text, "%v", err)
	}
	if f := b.r.ImpliedFamily(); f != 0 {
		if b.r.Family != 0 && b.r.Family != f {
			return model.Rule{}, b.fail(b.text, "an %s address in a rule of %s", f, b.r.Family)
		}
		b.r.Family = f
	}
	return b.r, nil
}
