package ruleset

import (
	"cmp"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"ctview/ctnl"
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
	} else if err := Wrap("probe nf_tables", err); errors.Is(err, ctnl.ErrPermission) {
		return finding.Rules{}, err
	}
	o.legacy(LegacyRead(ns))
	slices.SortStableFunc(o.chains, func(a, b chainOf) int { return cmp.Compare(b.rules, a.rules) })
	r := finding.Rules{Known: true}
	for _, c := range o.chains {
		r.Chains = append(r.Chains, c.Chain)
	}
	return r, nil
}

type chainOf struct {
	finding.Chain
	rules int
}

type outline struct{ chains []chainOf }

// filterHooks are the names of the hooks at which a cure filters.
var filterHooks = map[uint32]string{unix.NF_INET_LOCAL_IN: "input", unix.NF_INET_FORWARD: "forward", unix.NF_INET_LOCAL_OUT: "output"}

// nft notes the chains of nf_tables that anybody may add a rule to.
func (o *outline) nft(rs *Ruleset) {
	owned := map[SetName]bool{}
	for _, t := range rs.Tables {
		owned[SetName{Family: t.Family, Table: t.Name}] = t.Flags&TableFOwner != 0 || t.Named()
	}
	for i := range rs.Chains {
		c := &rs.Chains[i]
		hook := filterHooks[c.Hook]
		if !c.Base || hook == "" || c.Type != "filter" || owned[SetName{Family: c.Family, Table: c.Table}] {
			continue
		}
		f := finding.Chain{Tool: "nft", Family: FamilyName(c.Family), Table: c.Table, Name: c.Name, Hook: hook}
		if xtTables[c.Table] && c.Name == strings.ToUpper(hook) && (f.Family == "ip" || f.Family == "ip6") {
			f.Tool = xtTool(true)
		}
		o.chains = append(o.chains, chainOf{f, len(c.Rules)})
	}
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
		o.chains = append(o.chains, chainOf{f, n})
	}
}
