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
	if len(fams) == 1 && !r.Src.IsValid() && !r.Dst.IsValid() {
		add("meta nfproto %s", fams[0])
	}
	if r.Src.IsValid() {
		add("%s saddr %s", ip, prefixText(r.Src))
	}
	if r.Dst.IsValid() {
		add("%s daddr %s", ip, prefixText(r.Dst))
	}
	if r.HasProto {
		p := r.Proto.String()
		switch {
		case r.ICMP.HasType || r.ICMP.HasID:
			if r.ICMP.HasType {
				add("%s type %d", p, r.ICMP.Type)
			}
			if r.ICMP.HasID {
				add("%s id %d", p, r.ICMP.ID)
			}
		case r.Sport.Any() && r.Dport.Any():
			add("meta l4proto %s", strings.Replace(p, "icmpv6", "ipv6-icmp", 1))
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
	set = "flows4"
	if t.Family == model.IPv6 {
		set = "flows6"
	}
	return set, fmt.Sprintf("%s . %s . %s . %d . %d", t.SrcAddr(), t.DstAddr(), t.Proto, t.Sport, t.Dport)
}

func (n *nft) commands(g *group) []string {
	table := ruleset.TableName
	if g.Keep == model.KeepSession {
		table = fmt.Sprint(ruleset.SessionPrefix, g.Owner)
	}
	var out []string
	for i := range g.rules {
		r := &g.rules[i]
		if r.Exact() && r.Proto.HasPorts() {
			o, p := r.Tuples()
			ts := []model.Tuple{o, p}
			if r.OneWay {
				ts = ts[:1]
			}
			for j := range ts {
				set, e := nftElement(&ts[j])
				out = append(out, fmt.Sprintf("nft add element inet %s %s { %s timeout %ds }", table, set, e, g.Trial))
			}
			continue
		}
		for _, d := range r.Directions() {
			for _, chain := range [...]string{"pre", "out"} {
				if d.Iface == "" || chain == "pre" {
					out = append(out, fmt.Sprintf("nft add rule inet %s %s meta nfproto @%s %s counter notrack", table, chain,
						latchName(g.id), nftMatch(&d)))
				}
			}
		}
	}
	return out
}

// A Form is a way to keep rules for good, which ctview prints and never installs.
type Form string

// The forms.
const (
	FormNft      Form = "nft"      // a table of its own, for /etc/nftables.d or /etc/nftables.conf
	FormIptables Form = "iptables" // fragments for iptables-restore --noflush and ip6tables-restore
	FormOpenWrt  Form = "openwrt"  // chains that fw4 includes in its own table: /etc/nftables.d/*.nft
)

// Print writes rules in a form for good.
func Print(rules []model.Rule, form Form) (string, error) {
	switch form {
	case FormNft:
		return "#!/usr/sbin/nft -f\n# Made by ctview. Removing it: nft delete table inet ctview_static\n" +
			"table inet ctview_static\ndelete table inet ctview_static\n" +
			"table inet ctview_static {\n" + nftChains(rules, "\t", "") + "}\n", nil
	case FormOpenWrt:
		return "# Made by ctview. Put this into /etc/nftables.d/ctview.nft and run: fw4 reload\n" + nftChains(rules, "", "ctview_"), nil
	case FormIptables:
		return xtPrint(rules), nil
	}
	return "", fmt.Errorf("notrack: unknown form %q: nft, iptables or openwrt", form)
}

// nftChains writes the two chains with the rules of both directions.
func nftChains(rules []model.Rule, indent, prefix string) string {
	var b strings.Builder
	for _, ch := range ctviewChains[:2] {
		hook := "output"
		if ch.pre {
			hook = "prerouting"
		}
		fmt.Fprintf(&b, "%schain %s%s {\n%s\ttype filter hook %s priority %d; policy accept;\n", indent, prefix, ch.name, indent, hook, ruleset.PrioNotrack)
		for i := range rules {
			for _, d := range rules[i].Directions() {
				if d.Iface == "" || ch.pre {
					fmt.Fprintf(&b, "%s\t%s counter notrack\n", indent, nftMatch(&d))
				}
			}
		}
		fmt.Fprintf(&b, "%s}\n", indent)
	}
	return b.String()
}

// xtPrint writes a fragment of the raw table for each family.
func xtPrint(rules []model.Rule) string {
	var b strings.Builder
	for _, f := range [...]model.Family{model.IPv4, model.IPv6} {
		var lines []string
		for i := range rules {
			lines = append(lines, xtLines(&rules[i], f, "")...)
		}
		if len(lines) == 0 {
			continue
		}
		prog := "iptables-restore"
		if f == model.IPv6 {
			prog = "ip6tables-restore"
		}
		fmt.Fprintf(&b, "# Made by ctview. Load with: %s --noflush\n*raw\n%s\nCOMMIT\n", prog, strings.Join(lines, "\n"))
	}
	return b.String()
}

// xtLines writes the "-A" lines of a rule in one family: both directions in PREROUTING and OUTPUT. extra stands before
// the target.
func xtLines(r *model.Rule, f model.Family, extra string) []string {
	var out []string
	for _, d := range r.Directions() {
		if fs := d.Families(); len(fs) == 1 && fs[0] != f {
			continue
		}
		for _, chain := range [...]string{"PREROUTING", "OUTPUT"} {
			if d.Iface == "" || chain == "PREROUTING" {
				out = append(out, "-A "+chain+xtMatch(&d, f)+extra+" -j CT --notrack")
			}
		}
	}
	return out
}

func xtMatch(r *model.Rule, f model.Family) string {
	var b strings.Builder
	if r.Iface != "" {
		fmt.Fprintf(&b, " -i %s", r.Iface)
	}
	if r.Src.IsValid() && r.Src.Bits() > 0 {
		fmt.Fprintf(&b, " -s %s", r.Src)
	}
	if r.Dst.IsValid() && r.Dst.Bits() > 0 {
		fmt.Fprintf(&b, " -d %s", r.Dst)
	}
	if !r.HasProto {
		return b.String()
	}
	p := r.Proto.String()
	switch r.Proto {
	case model.ProtoICMPv6:
		p = "ipv6-icmp"
	case model.ProtoUDPLite:
		p = "136"
	}
	fmt.Fprintf(&b, " -p %s", p)
	if ports := xtPort(" --sport ", r.Sport) + xtPort(" --dport ", r.Dport); ports != "" {
		switch r.Proto {
		case model.ProtoTCP, model.ProtoUDP, model.ProtoSCTP, model.ProtoDCCP:
			b.WriteString(" -m " + p + ports)
		default: // xt_multiport knows UDP-Lite, no match of its own does
			if !r.Sport.Any() {
				b.WriteString(" -m multiport" + xtPort(" --sports ", r.Sport))
			}
			if !r.Dport.Any() {
				b.WriteString(" -m multiport" + xtPort(" --dports ", r.Dport))
			}
		}
	}
	if r.ICMP.HasType {
		if f == model.IPv6 {
			fmt.Fprintf(&b, " -m icmp6 --icmpv6-type %d", r.ICMP.Type)
		} else {
			fmt.Fprintf(&b, " -m icmp --icmp-type %d", r.ICMP.Type)
		}
	}
	return b.String()
}

func xtPort(opt string, r model.PortRange) string {
	switch {
	case r.Any():
		return ""
	case r.Lo == r.Hi:
		return fmt.Sprint(opt, r.Lo)
	}
	return fmt.Sprintf("%s%d:%d", opt, r.Lo, r.Hi)
}
