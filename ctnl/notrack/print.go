package notrack

import (
	"fmt"
	"strings"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// A Form is a way to keep rules for good, which ctview prints and never installs.
type Form string

// The forms.
const (
	FormNft      Form = "nft"      // a table of its own, for /etc/nftables.d or /etc/nftables.conf
	FormIptables Form = "iptables" // one text for iptables-restore --noflush and ip6tables-restore --noflush
	FormOpenWrt  Form = "openwrt"  // chains that fw4 includes in its own table: /etc/nftables.d/*.nft
)

// Print writes rules in a form for good. What the form cannot say exactly is an error that names the rule.
func Print(rules []model.Rule, form Form) (string, error) {
	says := nftSays
	if form == FormIptables {
		says = xtSays
	}
	if err := says(rules); err != nil {
		return "", err
	}
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
		fmt.Fprintf(&b, "%schain %s%s {\n%s\ttype filter hook %s priority %d; policy accept;\n", indent, prefix, ch.name, indent, ch.hookName(), ruleset.PrioNotrack)
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

// xtPrint writes one fragment of the raw table for both programs. Each leaves out the lines that are marked as the other's
// (-4 and -6, which are for that), so that a text given to one of them, or to both, is never wider than asked.
func xtPrint(rules []model.Rule) string {
	var lines []string
	for i := range rules {
		for _, f := range [...]model.Family{model.IPv4, model.IPv6} {
			for _, l := range xtLines(&rules[i], f, "") {
				w := strings.SplitN(l, " ", 3)
				only := map[model.Family]string{model.IPv4: " -4 ", model.IPv6: " -6 "}[f]
				lines = append(lines, w[0]+" "+w[1]+only+w[2])
			}
		}
	}
	return "# Made by ctview. Load it with both programs, each takes its own family's lines:\n" +
		"# iptables-restore --noflush FILE; ip6tables-restore --noflush FILE\n*raw\n" + strings.Join(lines, "\n") + "\nCOMMIT\n"
}

// xtSays refuses what iptables cannot say.
func xtSays(rules []model.Rule) error {
	for i := range rules {
		r := &rules[i]
		odd := func(c rune) bool {
			return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._@+-", c))
		}
		switch {
		case strings.HasSuffix(r.Iface, "+"):
			return fmt.Errorf("notrack: iptables would take interface %s for every name that begins so", model.Escape(r.Iface))
		case strings.HasPrefix(r.Iface, "-"), strings.ContainsFunc(r.Iface, odd):
			return fmt.Errorf("notrack: iptables cannot say the interface name %s: leave it out", model.Escape(r.Iface))
		case r.ICMP.HasID:
			return fmt.Errorf("notrack: iptables cannot match an ICMP identifier (%s): leave \"id\" out", r)
		case r.ICMP.HasType && r.ICMP.Type == 255 && r.Proto == model.ProtoICMP:
			return fmt.Errorf("notrack: iptables takes ICMP type 255 for every type (%s)", r)
		case r.HasProto && r.Proto == 0:
			return fmt.Errorf("notrack: iptables takes protocol 0 for every protocol (%s)", r)
		}
	}
	return nil
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
