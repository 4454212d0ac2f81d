package notrack

import (
	"fmt"
	"strings"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// nftMatch writes what a rule's own direction matches in nft's language.
func nftMatch(r *model.Rule) string {
	var w []string
	add := func(format string, args ...any) { w = append(w, fmt.Sprintf(format, args...)) }
	fams := r.Families()
	if r.Iface != "" {
		add("iifname %q", r.Iface)
	}
	ip := "ip"
	if len(fams) == 1 && fams[0] == model.IPv6 {
		ip = "ip6"
	}
	if len(fams) == 1 && r.Src.Bits() <= 0 && r.Dst.Bits() <= 0 {
		add("meta nfproto %s", fams[0])
	}
	if r.Src.Bits() > 0 {
		add("%s saddr %s", ip, prefixText(r.Src))
	}
	if r.Dst.Bits() > 0 {
		add("%s daddr %s", ip, prefixText(r.Dst))
	}
	if r.HasProto {
		p := r.Proto.String()
		switch {
		case r.ICMP.HasType || r.ICMP.HasID:
			if r.ICMP.HasType {
				add("%s type %d", p, r.ICMP.Type)
			} else {
				add("meta l4proto %d", r.Proto)
			}
			if r.ICMP.HasID { // "icmp id" would match echo requests and replies only, whatever the type
				add("@th,32,16 %d", r.ICMP.ID)
			}
		case r.Sport.Any() && r.Dport.Any():
			add("meta l4proto %s", l4proto(r.Proto))
		}
		if !r.Sport.Any() {
			add("%s sport %s", p, r.Sport)
		}
		if !r.Dport.Any() {
			add("%s dport %s", p, r.Dport)
		}
	}
	return strings.Join(w, " ")
}

// prefixText leaves the length of a single address out.
func prefixText(p interface {
	IsSingleIP() bool
	String() string
}) string {
	s := p.String()
	if p.IsSingleIP() {
		s, _, _ = strings.Cut(s, "/")
	}
	return s
}

// nftElement writes the element of an exact tuple.
func nftElement(t *model.Tuple) (set, elem string) {
	return flowSetName(t.Family), fmt.Sprintf("%s . %s . %s . %d . %d", t.SrcAddr(), t.DstAddr(), l4proto(t.Proto), t.Sport, t.Dport)
}

// l4proto names a protocol for nft. Most names are /etc/protocols', which need not be there.
func l4proto(p model.Proto) string {
	switch p {
	case model.ProtoTCP, model.ProtoUDP:
		return p.String()
	}
	return fmt.Sprint(uint8(p))
}

// nftSays refuses what nft's language cannot say: an interface name in quotes has no escapes, and a star at its end means
// every name that begins so.
func nftSays(rules []model.Rule) error {
	for i := range rules {
		name := rules[i].Iface
		odd := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'`\\", r) }
		if strings.HasSuffix(name, "*") || strings.ContainsFunc(name, odd) {
			return fmt.Errorf("notrack: nft cannot say the interface name %s: leave it out", model.Escape(name))
		}
	}
	return nil
}

// nftCommentMax is the longest comment that nft takes (NFTNL_UDATA_COMMENT_MAXLEN).
const nftCommentMax = 128

// A script collects commands for a shell.
type script struct {
	lines   []string
	tooLong bool // a comment is longer than nft takes
}

func (s *script) add(format string, args ...any) {
	s.lines = append(s.lines, "nft '"+fmt.Sprintf(format, args...)+"'")
}

func (s *script) comment(c string) string {
	s.tooLong = s.tooLong || len(c) > nftCommentMax
	return fmt.Sprintf(" comment %q", c)
}

// commands writes what build sends, with the marks by which ctview knows it again.
func (n *nft) commands(g *group) (setup, rules []string, err error) {
	if err := nftSays(g.rules); err != nil {
		return nil, []string{"# " + err.Error()}, nil
	}
	table := ruleset.TableName
	if g.Keep == model.KeepSession {
		table = fmt.Sprint(ruleset.SessionPrefix, g.Owner)
	}
	rs, in, err := n.readInstalled()
	if err != nil {
		return nil, nil, err
	}
	lacks, err := lacking(rs, in, table, ruleset.Tracking(rs, n.ns))
	if err != nil {
		return nil, nil, nil //nolint:nilerr // refused by the preview, with the reason
	}
	var pre, s script
	if g.Keep == model.KeepSession {
		pre.lines = []string{"# pasted, this table stays until it is removed: only ctview ties it to the program"}
	}
	pre.skeleton(table, lacks)
	var wide []model.Rule
	for i := range g.rules {
		r := &g.rules[i]
		if !r.Exact() || !r.Proto.HasPorts() {
			wide = append(wide, *r)
			continue
		}
		o, p := r.Tuples()
		for dir, t := range [...]model.Tuple{o, p} {
			if dir == ruleset.DirReply && r.OneWay {
				continue
			}
			set, e := nftElement(&t)
			s.add("add element inet %s %s { %s timeout %ds%s }", table, set, e, g.Trial, s.comment(ruleset.Tag{ID: g.id, Dir: dir, Meta: g.Meta}.String()))
		}
	}
	s.wide(table, g, wide, lacks.verify)
	if s.tooLong {
		s.lines = []string{"# nft cannot say this rule: its comments are longer than 128 bytes"}
	}
	return pre.lines, s.lines, nil
}

// skeleton writes what table lacks.
func (s *script) skeleton(table string, l lack) {
	if l.table {
		s.add("add table inet %s", table)
	}
	for _, f := range l.sets {
		typ := map[model.Family]string{model.IPv4: "ipv4_addr", model.IPv6: "ipv6_addr"}[f]
		s.add("add set inet %s %s { type %s . %s . inet_proto . inet_service . inet_service; flags timeout; counter; }", table, flowSetName(f), typ, typ)
	}
	for _, ch := range l.chains {
		s.add("add chain inet %s %s { type filter hook %s priority %d; policy accept; }", table, ch.name, ch.hookName(), ch.prio)
		mark := s.comment(ruleset.Version)
		if ch.pre {
			s.add("add rule inet %s %s meta iiftype loopback accept%s", table, ch.name, mark)
		}
		for _, f := range [...]model.Family{model.IPv4, model.IPv6} {
			ip := map[model.Family]string{model.IPv4: "ip", model.IPv6: "ip6"}[f]
			s.add("add rule inet %s %s %s%s", table, ch.name, ch.text(fmt.Sprintf("%s saddr . %s daddr . meta l4proto . th sport . th dport @%s",
				ip, ip, flowSetName(f))), mark)
		}
	}
}

// wide writes the latch and the rules that ask it.
func (s *script) wide(table string, g *group, rules []model.Rule, verify bool) {
	if len(rules) == 0 {
		return
	}
	set := latchName(g.id)
	s.add("add set inet %s %s { type nf_proto; flags timeout; }", table, set)
	for _, f := range familiesOf(rules) {
		s.add("add element inet %s %s { %s timeout %ds%s }", table, set, f, g.Trial, s.comment(ruleset.Tag{ID: g.id, Meta: g.Meta}.String()))
	}
	for _, ch := range ctviewChains {
		for i := range rules {
			for dir, d := range rules[i].Directions() {
				if ch.verify && !verify || d.Iface != "" && !ch.pre {
					continue
				}
				s.add("add rule inet %s %s %s%s", table, ch.name, ch.text(fmt.Sprintf("meta nfproto @%s %s", set, nftMatch(&d))),
					s.comment(ruleset.Tag{ID: g.id, Dir: dir, Rule: rules[i].String()}.String()))
			}
		}
	}
}

// text is wrap in nft's language.
func (ch ctviewChain) text(match string) string {
	if ch.verify {
		return "ct state != untracked " + match + " counter"
	}
	return match + " counter notrack"
}

func (ch ctviewChain) hookName() string {
	if ch.pre {
		return "prerouting"
	}
	return "output"
}
