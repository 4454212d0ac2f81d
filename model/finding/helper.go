package finding

import (
	"fmt"
	"slices"
	"strings"

	"ctview/model"
)

// A Control counts flows to the port of a protocol that opens further connections, which a helper has to announce.
type Control struct {
	With, Without int // with a helper and without one, the closed ones left out
	Translated    int // of those without, the ones that NAT changes
}

func (c *Control) scale(n int) {
	c.With, c.Without, c.Translated = c.With*n, c.Without*n, c.Translated*n
}

// A ControlPort is such a port. Module is what follows nf_conntrack_ in the name of the module that has the helper.
type ControlPort struct {
	Proto          model.Proto
	Port           uint16
	Helper, Module string
	needs          bool // without the helper it does not work through NAT or a filter; the others have ways of their own
}

const numControls = 11

// ControlPorts are the well-known ports of the kernel's helpers.
var ControlPorts = [numControls]ControlPort{
	{model.ProtoTCP, 21, "ftp", "ftp", true}, {model.ProtoUDP, 69, "tftp", "tftp", true}, {model.ProtoTCP, 1720, "Q.931", "h323", true},
	{model.ProtoUDP, 1719, "RAS", "h323", true}, {model.ProtoTCP, 1723, "pptp", "pptp", true}, {model.ProtoUDP, 5060, "sip", "sip", false},
	{model.ProtoTCP, 5060, "sip", "sip", false}, {model.ProtoTCP, 6566, "sane", "sane", true}, {model.ProtoTCP, 6667, "irc", "irc", false},
	{model.ProtoUDP, 10080, "amanda", "amanda", true}, {model.ProtoUDP, 137, "netbios-ns", "netbios_ns", false},
}

// ControlOf returns the place of a flow's port in ControlPorts; ok is false for one of no helper, and for a flow that is over.
func ControlOf(f *model.Flow) (i int, ok bool) {
	for i := range ControlPorts {
		if c := &ControlPorts[i]; c.Port == f.Dport && c.Proto == f.Proto {
			return i, f.Phase() != model.Closed
		}
	}
	return 0, false
}

// Helped reports whether a helper watches the flow.
func Helped(f *model.Flow) bool { return f.Helper != 0 || f.Status&model.StatusHelper != 0 }

func (s *surveyor) control(f *model.Flow) {
	if unanswered(f) {
		return
	}
	i, ok := ControlOf(f)
	if !ok {
		return
	}
	c := &s.Control[i]
	if Helped(f) {
		c.With++
		return
	}
	c.Without++
	if f.SNAT() || f.DNAT() {
		c.Translated++
	}
}

// A HelperRule is a rule that gives flows a helper.
type HelperRule struct {
	Helper string // name of the helper, "" where it is not known
	Place  string
}

// helpers tells of control connections that no helper watches.
func helpers(_ *Engine, in *Input) (all []Finding) {
	if in.Survey == nil {
		return nil
	}
	for i := range ControlPorts {
		p, c := &ControlPorts[i], &in.Survey.Control[i]
		if c.Without == 0 {
			continue
		}
		f := Finding{Name: "helper-missing", Subject: fmt.Sprintf("%s port %d", p.Proto, p.Port), Place: InExpect, Amount: int64(c.Without)}
		f.Filter = fmt.Sprintf("%s and dport %d and helper none and replied and not phase closed", p.Proto, p.Port)
		what := "connections that they open are new to the firewall, not RELATED"
		if p.needs && c.Translated > 0 {
			f.Severity, what = Warning, what+", and NAT does not know them"
		} else if p.needs && in.Rules.Known && in.Rules.Drops {
			f.Severity = Warning
		}
		f.Text = fmt.Sprintf("%s%s to %s port %d without a helper (%s): %s", in.Survey.some(), plural(c.Without, "flow"), p.Proto, p.Port, p.Helper, what)
		f.Cures = in.assign(p)
		all = append(all, f)
	}
	return all
}

// assign are the steps to a helper, as far as they are missing.
func (in *Input) assign(p *ControlPort) (cures []Cure) {
	r := &in.Rules
	if !r.Known {
		return nil
	}
	if !slices.Contains(r.Modules, p.Module) {
		cures = append(cures, Cure{"load the helper, on the host", "modprobe nf_conntrack_" + p.Module})
	}
	for _, h := range r.Helpers {
		if strings.HasPrefix(h.Helper, p.Helper) {
			return append(cures, Cure{"a rule in " + h.Place + " gives it, but not to these flows: it counts for flows that begin later, and for what it matches", ""})
		}
	}
	tool := "nft"
	if len(r.Chains) > 0 {
		tool = r.Chains[0].Tool
	}
	what := "give the helper to flows that begin later"
	if tool != "nft" {
		return append(cures, Cure{what, InNetns(r.Netns, fmt.Sprintf("%s -t raw -A PREROUTING -p %s --dport %d -j CT --helper %s", tool, p.Proto, p.Port, p.Helper))})
	}
	family, table := "inet", "helpers"
	for _, c := range r.Chains {
		if c.Tool == "nft" && c.Family == "inet" {
			table = c.Table
			break
		}
	}
	name := strings.ToLower(strings.ReplaceAll(p.Helper, ".", "")) + "-" + p.Proto.String()
	script := fmt.Sprintf(`add table %s %s; add ct helper %s %s %s { type "%s" protocol %s; }; add chain %s %s helpers { type filter hook prerouting priority -150; }; `+
		`add rule %s %s helpers %s dport %d ct helper set "%s"`,
		family, table, family, table, name, p.Helper, p.Proto, family, table, family, table, p.Proto, p.Port, name)
	return append(cures, Cure{what, InNetns(r.Netns, "nft "+Word(script))})
}
