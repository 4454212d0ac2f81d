package filter

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"ctview/model"
)

// ParseRule reads a rule: a tuple with an arrow, or a filter that a raw rule can say (RuleFromFilter).
//
//	tuple = [ proto ] [ "ip" | "ip6" ] side ">" side { option }
//	side  = address | prefix | "any" , [ ":" port | ":" port "-" port ]     (IPv6 with a port in brackets)
//	option= "type" n | "id" n | "iif" name | "one-way"
//
// "->" and "to" are the same as ">", which can be left out between two addresses with ports. The error is always a *Error.
func ParseRule(text string) (model.Rule, error) {
	if isTuple(text) {
		return parseTuple(text)
	}
	return RuleFromFilter(text)
}

// A ruleWord is a blank-separated word of a rule's text with its place.
type ruleWord struct {
	s        string
	pos, end int
}

func ruleWords(text string) []ruleWord {
	var ws []ruleWord
	for i := 0; i < len(text); {
		if text[i] == ' ' || text[i] == '\t' {
			i++
			continue
		}
		j := i
		for j < len(text) && text[j] != ' ' && text[j] != '\t' {
			j++
		}
		ws = append(ws, ruleWord{text[i:j], i, j})
		i = j
	}
	return ws
}

// isTuple reports whether text has an arrow with something on its left that looks like the side of a tuple. In a filter
// the word before ">" is the name of an amount (bytes, age, …).
func isTuple(text string) bool {
	ws := ruleWords(text)
	for i, w := range ws {
		if w.s == "->" || w.s == "to" {
			return true
		}
		if w.s == ">" && i > 0 {
			prev := ws[i-1].s
			return prev == "any" || strings.ContainsAny(prev, ".:[") || i == 1 && isProtoWord(prev)
		}
	}
	return len(ws) >= 3 && isProtoWord(ws[0].s) && isEndpoint(ws[1].s) && isEndpoint(ws[2].s)
}

// isEndpoint reports whether s is an address with a port, which the filter language does not have.
func isEndpoint(s string) bool {
	addr, port, ok := splitSide(s)
	if !ok || port == "" {
		return false
	}
	_, err := ParsePrefix(addr)
	return err == nil || addr == "any"
}

func isArrow(s string) bool { return s == ">" || s == "->" || s == "to" }

func isProtoWord(s string) bool {
	_, err := model.ParseProto(s)
	return err == nil || s == "ip" || s == "ip6" || s == "any"
}

// A tupleParser reads the words of one tuple.
type tupleParser struct {
	text string
	ws   []ruleWord
	i    int
	r    model.Rule
}

func (p *tupleParser) fail(w ruleWord, format string, args ...any) error {
	return &Error{Text: p.text, Pos: w.pos, End: w.end, Msg: fmt.Sprintf(format, args...)}
}

func (p *tupleParser) next() (ruleWord, bool) {
	if p.i >= len(p.ws) {
		return ruleWord{pos: len(p.text), end: len(p.text)}, false
	}
	p.i++
	return p.ws[p.i-1], true
}

func parseTuple(text string) (model.Rule, error) {
	p := &tupleParser{text: text, ws: ruleWords(text)}
	if err := p.head(); err != nil {
		return model.Rule{}, err
	}
	src, err := p.side(&p.r.Src, &p.r.Sport)
	if err != nil {
		return model.Rule{}, err
	}
	if w, ok := p.next(); !ok {
		return model.Rule{}, p.fail(w, "the destination is missing")
	} else if !isArrow(w.s) {
		if !isEndpoint(w.s) {
			return model.Rule{}, p.fail(w, `expected ">" or "to" between source and destination`)
		}
		p.i--
	}
	dst, err := p.side(&p.r.Dst, &p.r.Dport)
	if err != nil {
		return model.Rule{}, err
	}
	if err := p.families(src, dst); err != nil {
		return model.Rule{}, err
	}
	if err := p.options(); err != nil {
		return model.Rule{}, err
	}
	return p.check(src, dst)
}

// check turns the errors of Rule.Check into errors with a place.
func (p *tupleParser) check(src, dst ruleWord) (model.Rule, error) {
	err := p.r.Check()
	switch err {
	case nil:
		return p.r, nil
	case model.ErrRulePortProto:
		w := src
		if p.r.Sport.Any() {
			w = dst
		}
		return model.Rule{}, p.fail(w, "%v", err)
	}
	return model.Rule{}, p.fail(ruleWord{pos: 0, end: len(p.text)}, "%v", err)
}

// head reads the protocol and the family.
func (p *tupleParser) head() error {
	for p.i < len(p.ws) {
		w := p.ws[p.i]
		switch strings.ToLower(w.s) {
		case "ip":
			p.r.Family = model.IPv4
		case "ip6":
			p.r.Family = model.IPv6
		case "any":
			if p.i > 0 || p.i+1 < len(p.ws) && isArrow(p.ws[p.i+1].s) {
				return nil // the source
			}
		default:
			if strings.ContainsAny(w.s, ".:[/") || p.r.HasProto {
				return nil
			}
			proto, err := model.ParseProto(w.s)
			if err != nil {
				return p.fail(w, "%v", err)
			}
			p.r.Proto, p.r.HasProto = proto, true
		}
		p.i++
	}
	return nil
}

// side reads an address or prefix with ports.
func (p *tupleParser) side(pfx *netip.Prefix, ports *model.PortRange) (ruleWord, error) {
	w, ok := p.next()
	if !ok {
		return w, p.fail(w, "expected an address, a prefix or any")
	}
	addr, port, hasPort := splitSide(w.s)
	if hasPort {
		r, err := parsePorts(port)
		if err != nil {
			return w, p.fail(w, "%v", err)
		}
		*ports = r
	}
	if strings.EqualFold(addr, "any") || addr == "*" {
		return w, nil
	}
	v, err := ParsePrefix(addr)
	if err != nil {
		return w, p.fail(w, "%v", err)
	}
	*pfx = v
	return w, nil
}

// splitSide cuts "addr:port", "[addr]:port", "addr/len:port" or "any:port". An IPv6 address without brackets has no
// port.
func splitSide(s string) (addr, port string, hasPort bool) {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		a, tail, ok := strings.Cut(rest, "]")
		if !ok {
			return s, "", false
		}
		if l, ok := strings.CutPrefix(tail, "/"); ok { // [2001:db8::]/32:80
			n, pt, has := strings.Cut(l, ":")
			return a + "/" + n, pt, has
		}
		pt, has := strings.CutPrefix(tail, ":")
		return a, pt, has
	}
	if strings.Count(s, ":") == 1 {
		return strings.Cut(s, ":")
	}
	return s, "", false
}

func parsePorts(s string) (model.PortRange, error) {
	lo, hi, isRange := strings.Cut(s, "-")
	a, err := parsePort(lo)
	if err != nil {
		return model.PortRange{}, err
	}
	if !isRange {
		return model.Port(a), nil
	}
	b, err := parsePort(hi)
	if err != nil {
		return model.PortRange{}, err
	}
	if a > b {
		return model.PortRange{}, fmt.Errorf("the port range %s is empty", s)
	}
	return model.PortRange{Lo: a, Hi: b}, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a port (1-65535)", s)
	}
	return uint16(n), nil
}

// ParsePrefix reads an address, a prefix, or an IPv4 address with a netmask. Bits behind the length are an error, as a
// mistyped length would otherwise go unseen.
func ParsePrefix(s string) (netip.Prefix, error) {
	a, l, ok := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(a)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is not an address", a)
	}
	addr = addr.Unmap()
	if !ok {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	bits, err := prefixBits(addr, l)
	if err != nil {
		return netip.Prefix{}, err
	}
	p := netip.PrefixFrom(addr, bits)
	if p.Masked() != p {
		return netip.Prefix{}, fmt.Errorf("%s has bits set behind /%d: did you mean %s?", s, bits, p.Masked())
	}
	return p, nil
}

func prefixBits(addr netip.Addr, l string) (int, error) {
	if m, err := netip.ParseAddr(l); err == nil {
		if !m.Is4() || !addr.Is4() {
			return 0, fmt.Errorf("%s is an IPv4 mask, %s an IPv6 address: write a length, as in %s/64", l, addr, addr)
		}
		b := m.As4()
		v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		n := 0
		for n < 32 && v&(1<<(31-n)) != 0 {
			n++
		}
		if v<<n != 0 {
			return 0, fmt.Errorf("%s is not a netmask", l)
		}
		return n, nil
	}
	n, err := strconv.ParseUint(l, 10, 8)
	if err != nil || int(n) > addr.BitLen() {
		return 0, fmt.Errorf("%q is not a prefix length (0-%d)", l, addr.BitLen())
	}
	return int(n), nil
}

// families refuses a rule whose parts belong to different families.
func (p *tupleParser) families(src, dst ruleWord) error {
	fam := func(x netip.Prefix) model.Family {
		switch {
		case !x.IsValid():
			return 0
		case x.Addr().Is4():
			return model.IPv4
		}
		return model.IPv6
	}
	fs, fd := fam(p.r.Src), fam(p.r.Dst)
	name := map[model.Family]string{model.IPv4: "IPv4", model.IPv6: "IPv6"}
	if fs != 0 && fd != 0 && fs != fd {
		return p.fail(dst, "%s is %s, but %s is %s: both sides of a rule are of one family", dst.s, name[fd], src.s, name[fs])
	}
	f, w := fs, src
	if f == 0 {
		f, w = fd, dst
	}
	if f != 0 && p.r.Family != 0 && f != p.r.Family {
		return p.fail(w, "%s is %s, but the rule says %s", w.s, name[f], map[model.Family]string{model.IPv4: "ip", model.IPv6: "ip6"}[p.r.Family])
	}
	if f == model.IPv6 && p.r.HasProto && p.r.Proto == model.ProtoICMP || f == model.IPv4 && p.r.HasProto && p.r.Proto == model.ProtoICMPv6 {
		return p.fail(w, "%s packets have no %s addresses", p.r.Proto, name[f])
	}
	if f != 0 {
		p.r.Family = f
	}
	return nil
}

func (p *tupleParser) options() error {
	for {
		w, ok := p.next()
		if !ok {
			return nil
		}
		switch strings.ToLower(w.s) {
		case "one-way", "oneway":
			p.r.OneWay = true
		case "type", "id", "iif", "iifname":
			v, ok := p.next()
			if !ok {
				return p.fail(w, "%s needs a value", w.s)
			}
			if err := p.option(strings.ToLower(w.s), v); err != nil {
				return err
			}
		default:
			return &Error{Text: p.text, Pos: w.pos, End: w.end, Msg: fmt.Sprintf("unknown word %q in a rule", w.s),
				Suggestions: []string{"iif", "one-way", "type", "id"}}
		}
	}
}

func (p *tupleParser) option(name string, v ruleWord) error {
	switch name {
	case "iif", "iifname":
		p.r.Iface = strings.Trim(v.s, `"`)
		if p.r.Iface == "" {
			return p.fail(v, "%v", model.ErrRuleIface)
		}
		return nil
	case "type":
		n, err := strconv.ParseUint(v.s, 10, 8)
		if err != nil {
			return p.fail(v, "%q is not an ICMP type (0-255)", v.s)
		}
		p.r.ICMP.Type, p.r.ICMP.HasType = uint8(n), true
	default:
		n, err := strconv.ParseUint(v.s, 10, 16)
		if err != nil {
			return p.fail(v, "%q is not an ICMP identifier (0-65535)", v.s)
		}
		p.r.ICMP.ID, p.r.ICMP.HasID = uint16(n), true
	}
	return nil
}
