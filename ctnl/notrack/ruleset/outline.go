package ruleset

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/finding"

	"golang.org/x/sys/unix"
)

// Outline tells of a namespace's rules what a cure has to name: the chains that filter, the ones with the most rules first,
// and with what their rules are written here. A nil ns is that of the caller's thread. Errors wrap ErrPermission.
func Outline(ns Namespace) (finding.Rules, error) {
	if ns == nil {
		ns = Here{}
	}
	var o outline
	rd, err := Dial(ns)
	if err != nil {
		return finding.Rules{}, err
	}
	defer rd.Close()
	if _, err := rd.Generation(); err == nil {
		rs, err := rd.Read()
		if err != nil {
			return finding.Rules{}, err
		}
		o.nft(rs)
		o.objects(rd)
	} else if err := Wrap("probe nf_tables", err); errors.Is(err, ctnl.ErrPermission) {
		return finding.Rules{}, err
	}
	l := LegacyRead(ns)
	o.legacy(l.Rules, l.Chains)
	slices.SortStableFunc(o.chains, func(a, b chainOf) int { return cmp.Compare(b.rules, a.rules) })
	r := o.r
	r.Known, r.Modules = true, HelperModules()
	for _, c := range o.chains {
		r.Chains = append(r.Chains, c.Chain)
	}
	return r, nil
}

// OutlineOf is Outline of a namespace with its addresses. What is not permitted or cannot be read stays unknown: cures are then
// less exact, and nothing else.
func OutlineOf(ns *ctnl.Netns) finding.Rules {
	r, err := Outline(ns)
	if err != nil {
		r = finding.Rules{}
	}
	if local, err := ns.LocalAddrs(); err == nil {
		for a := range local {
			r.Local = append(r.Local, a)
		}
	}
	return r
}

type chainOf struct {
	finding.Chain
	rules int
}

type outline struct {
	r      finding.Rules
	chains []chainOf
	given  []SetName // objects that rules give, in the order of r.Helpers
}

// filterHooks are the names of the hooks at which a cure filters.
var filterHooks = map[uint32]string{unix.NF_INET_LOCAL_IN: "input", unix.NF_INET_FORWARD: "forward", unix.NF_INET_LOCAL_OUT: "output"}

// nft notes the chains of nf_tables that anybody may add a rule to.
func (o *outline) nft(rs *Ruleset) {
	owned := map[SetName]bool{}
	for _, t := range rs.Tables {
		owned[SetName{Family: t.Family, Table: t.Name}] = t.Flags&TableFOwner != 0 || t.Named()
	}
	o.zoned(rs)
	for i := range rs.Chains {
		c := &rs.Chains[i]
		o.rules(rs, c)
		hook := filterHooks[c.Hook]
		if !c.Base || hook == "" || c.Type != "filter" || owned[SetName{Family: c.Family, Table: c.Table}] {
			continue
		}
		f := finding.Chain{Tool: "nft", Family: FamilyName(c.Family), Table: c.Table, Name: c.Name, Hook: hook}
		if xtTables[c.Table] && c.Name == strings.ToUpper(hook) && (f.Family == "ip" || f.Family == "ip6") {
			f.Tool = xtTool(true)
		}
		o.r.Drops = o.r.Drops || hook == "forward" && c.Policy == VerdictDrop
		o.chains = append(o.chains, chainOf{f, len(c.Rules)})
	}
}

// rules notes what rules of a chain translate sources or give helpers.
func (o *outline) rules(rs *Ruleset, c *Chain) {
	place := FamilyName(c.Family) + " " + c.Table + "/" + c.Name
	for i := range c.Rules {
		r := &c.Rules[i]
		n, source, dest := rs.natRule(c, r)
		if source {
			o.r.NAT = append(o.r.NAT, n)
		}
		o.target(n, dest)
		for j := range r.Exprs {
			x := &r.Exprs[j]
			if !rs.GivesHelper(r, x) {
				continue
			}
			h := finding.HelperRule{Place: place}
			object := SetName{}
			if x.Name == "target" {
				h.Helper = CString(x.Attr(unix.NFTA_TARGET_INFO)[12:])
			} else {
				object = SetName{Family: c.Family, Table: c.Table, Name: x.Text(unix.NFTA_OBJREF_IMM_NAME)}
			}
			o.r.Helpers, o.given = append(o.r.Helpers, h), append(o.given, object)
		}
	}
}

// target notes where a rule translates destinations to.
func (o *outline) target(n finding.NATRule, dest bool) {
	switch {
	case !dest:
	case n.Lo.IsValid():
		o.r.Targets = append(o.r.Targets, n)
	default:
		o.r.OtherTargets = true
	}
}

// objects reads which helper each object of nft stands for. What cannot be read stays without a name.
func (o *outline) objects(rd *Reader) {
	if len(o.given) == 0 {
		return
	}
	const (
		objTable, objName, objType, objData = 1, 2, 3, 4 // NFTA_OBJ_*
		helperName                          = 1          // NFTA_CT_HELPER_NAME
	)
	ms, err := rd.Dump(unix.NFT_MSG_GETOBJ)
	if err != nil {
		return
	}
	for _, m := range ms {
		if len(m.Data) < 4 {
			continue
		}
		b := m.Data[4:]
		if U32(Attr(b, objType)) != objectHelper {
			continue
		}
		n := SetName{Family: m.Data[0], Table: CString(Attr(b, objTable)), Name: CString(Attr(b, objName))}
		for i := range o.given {
			if o.given[i] == n {
				o.r.Helpers[i].Helper = CString(Attr(Attr(b, objData), helperName))
			}
		}
	}
}

// zoned notes NOTRACK rules behind a rule that sets a zone, at the hooks where packets are not tracked yet.
func (o *outline) zoned(rs *Ruleset) {
	for _, hook := range [...]uint32{unix.NF_INET_PRE_ROUTING, unix.NF_INET_LOCAL_OUT} {
		var chains []*Chain
		for i := range rs.Chains {
			if c := &rs.Chains[i]; c.Base && c.Hook == hook && c.Prio < PrioConntrack {
				chains = append(chains, c)
			}
		}
		slices.SortStableFunc(chains, func(a, b *Chain) int { return cmp.Compare(a.Prio, b.Prio) })
		zone := ""
		for _, c := range chains {
			place := FamilyName(c.Family) + " " + c.Table + "/" + c.Name
			for i := range c.Rules {
				r := &c.Rules[i]
				switch {
				case r.zones() && zone == "":
					zone = place
				case zone != "" && r.Untracks() && !slices.ContainsFunc(o.r.Zoned, func(z finding.Zoned) bool { return z.Notrack == place }):
					o.r.Zoned = append(o.r.Zoned, finding.Zoned{Notrack: place, Zone: zone})
				}
			}
		}
	}
}

// PrioConntrack is NF_IP_PRI_CONNTRACK: what has a lower priority meets packets before they are tracked.
const PrioConntrack = -200

// zones reports whether the rule sets a packet's zone: nft's ct zone set, or the CT target with one (struct
// xt_ct_target_info: flags, zone).
func (r *Rule) zones() bool {
	return slices.ContainsFunc(r.Exprs, func(x Expr) bool {
		if x.Name == "target" && XTName(x) == "CT" {
			info := x.Attr(unix.NFTA_TARGET_INFO)
			return len(info) >= 4 && info[2]|info[3] != 0
		}
		return x.Name == "ct" && x.U32(unix.NFTA_CT_KEY) == unix.NFT_CT_ZONE && x.Attr(unix.NFTA_CT_SREG) != nil
	})
}

// xtTables are the tables of iptables that filter.
var xtTables = map[string]bool{"filter": true, "mangle": true, "raw": true, "security": true}

// xtTool is the command that writes rules of iptables into nf_tables, or into x_tables: plain iptables where it is the one.
func xtTool(nft bool) string {
	special, of := "iptables-legacy", "legacy"
	if nft {
		special, of = "iptables-nft", "nft"
	}
	if plain, err := lookTool("iptables"); err == nil {
		if real, err := filepath.EvalSymlinks(plain); err == nil && strings.Contains(filepath.Base(real), of) {
			return "iptables"
		}
	}
	if _, err := lookTool(special); err != nil {
		return "iptables"
	}
	return special
}

func (o *outline) legacy(rules []XTRule, chains []XTChain) {
	at := map[string]int{} // rules of a chain so far
	for i := range rules {
		r := &rules[i]
		key := fmt.Sprint(r.IPv6, r.Table, " ", r.Chain)
		at[key]++
		o.legacyRule(r, at[key])
	}
	for _, c := range chains {
		hook := strings.ToLower(c.Name)
		if c.Table != "filter" || c.Policy == "-" || c.Name != "INPUT" && c.Name != "FORWARD" && c.Name != "OUTPUT" {
			continue
		}
		f := finding.Chain{Tool: xtTool(false), Family: "ip", Table: c.Table, Name: c.Name, Hook: hook}
		if c.IPv6 {
			f.Family = "ip6"
		}
		n := 0
		for i := range rules {
			if r := &rules[i]; r.Table == c.Table && r.Chain == c.Name && r.IPv6 == c.IPv6 {
				n++
			}
		}
		o.r.Drops = o.r.Drops || hook == "forward" && c.Policy == "DROP"
		o.chains = append(o.chains, chainOf{f, n})
	}
}

// legacyRule notes the nth rule of a chain if it translates sources or gives a helper.
func (o *outline) legacyRule(r *XTRule, n int) {
	place := "iptables " + r.Table + familySuffix(r.IPv6) + "/" + r.Chain
	switch target := r.Option("-j"); target {
	case "DNAT":
		x := finding.NATRule{Place: place}
		x.Lo, x.Hi, x.Ports = r.NATRange()
		o.target(whole(x), true)
	case "CT":
		if h := r.Option("--helper"); h != "" {
			o.r.Helpers, o.given = append(o.r.Helpers, finding.HelperRule{Helper: h, Place: place}), append(o.given, SetName{})
		}
	case "SNAT", "MASQUERADE":
		x := finding.NATRule{Place: place, Family: model.IPv4}
		if r.IPv6 {
			x.Family = model.IPv6
		}
		x.Proto = r.proto()
		x.Lo, x.Hi, x.Ports = r.NATRange()
		x.Mapped = target == "SNAT" && !x.Lo.IsValid()
		if x = whole(x); x.Ports != (model.PortRange{}) {
			tool := xtTool(false)
			if r.IPv6 {
				tool = strings.Replace(tool, "iptables", "ip6tables", 1)
			}
			x.Widen = fmt.Sprintf("%s -t %s -R %s %d", tool, finding.Word(r.Table), finding.Word(r.Chain), n)
			ports := fmt.Sprintf("%d-%d", x.Ports.Lo, x.Ports.Hi)
			if x.Ports.Lo == x.Ports.Hi {
				ports = fmt.Sprint(x.Ports.Lo)
			}
			for _, a := range r.Args {
				x.Widen += " " + finding.Word(strings.TrimSuffix(a, ports)+strings.Repeat("1024-65535", strings.Count(a, ports)))
			}
		}
		o.r.NAT = append(o.r.NAT, x)
	}
}

// helperNames are the connection tracking helpers of the kernel, by the names of their modules after nf_conntrack_.
var helperNames = []string{"amanda", "ftp", "h323", "irc", "netbios_ns", "pptp", "sane", "sip", "snmp", "tftp"}

// HelperModules returns the helpers that are loaded or built into the kernel, by the names of their modules after nf_conntrack_.
func HelperModules() (names []string) {
	var u unix.Utsname
	_ = unix.Uname(&u) // no release: no list of what is built in
	builtin, _ := os.ReadFile(filepath.Join("/lib/modules", unix.ByteSliceToString(u.Release[:]), "modules.builtin"))
	for _, n := range helperNames {
		_, err := os.Stat("/sys/module/nf_conntrack_" + n)
		if err == nil || strings.Contains(string(builtin), "/nf_conntrack_"+n+".ko\n") {
			names = append(names, n)
		}
	}
	return slices.Clip(names)
}
