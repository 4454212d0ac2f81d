package ruleset

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// A Firewall is what can be told of a namespace's rules without making or changing any. Texts are the kernel's and
// users', not escaped.
type Firewall struct {
	NFTables bool     // the kernel has nf_tables
	Rules    int      // of nftables
	Legacy   []string // legacy xtables that exist, such as "nat" and "filter (ipv6)"
	Unread   bool     // not all of Legacy could be read: iptables-legacy-save is missing, or fails
	Tracks   string   // where the first rule stands that makes the namespace track connections, "" for none
	Own      string   // the table of ctview's whose rules do, "" for none
	Helpers  []string // where rules stand that give flows a helper
}

// objectHelper is NFT_OBJECT_CT_HELPER.
const objectHelper = 3

// Look reads the rules of a namespace. A nil ns is that of the caller's thread. Errors wrap ErrPermission.
func Look(ns Namespace) (Firewall, error) {
	if ns == nil {
		ns = Here{}
	}
	var fw Firewall
	rd, err := Dial(ns)
	if err != nil {
		return fw, err
	}
	defer rd.Close()
	switch _, err = rd.Generation(); {
	case err == nil:
		rs, err := rd.Read()
		if err != nil {
			return fw, err
		}
		fw.NFTables = true
		fw.readNft(rs)
	case errors.Is(err, unix.EPERM):
		return fw, Wrap("probe nf_tables", err)
	}
	for _, v6 := range [...]bool{false, true} {
		for _, t := range LegacyTables(ns, v6) {
			fw.Legacy = append(fw.Legacy, t+familySuffix(v6))
		}
	}
	l := LegacyRead(ns)
	fw.Unread = len(l.Unread) > 0
	fw.readLegacy(l.Rules)
	return fw, nil
}

func familySuffix(v6 bool) string {
	if v6 {
		return " (ipv6)"
	}
	return ""
}

func (fw *Firewall) readNft(rs *Ruleset) {
	for i := range rs.Chains {
		c := &rs.Chains[i]
		fw.Rules += len(c.Rules)
		for j := range c.Rules {
			r := &c.Rules[j]
			at := FamilyName(c.Family) + " " + c.Table + " " + c.Name + ": "
			if r.usesConntrack() && (rs.OwnChain(c) || rs.watching(c)) {
				fw.Own = FamilyName(c.Family) + " " + c.Table
			}
			if fw.Tracks == "" && rs.tracks(c, r) {
				fw.Tracks = at + RuleText(rs, r)
			}
			if slices.ContainsFunc(r.Exprs, func(x Expr) bool { return rs.GivesHelper(r, &x) }) {
				fw.Helpers = append(fw.Helpers, at+RuleText(rs, r))
			}
		}
	}
}

// GivesHelper reports whether x, an expression of rule r, gives a flow its helper: an object of that type or a map of
// such objects, or the CT target with --helper.
func (rs *Ruleset) GivesHelper(r *Rule, x *Expr) bool {
	switch {
	case x.Name == "target" && XTName(*x) == "CT":
		return !xtNotrack(x) && xtHelper(x)
	case x.Name != "objref":
		return false
	case x.Attr(unix.NFTA_OBJREF_SET_NAME) == nil:
		return x.U32(unix.NFTA_OBJREF_IMM_TYPE) == objectHelper
	}
	s := rs.Sets[SetName{Family: r.Family, Table: r.Table, Name: x.Text(unix.NFTA_OBJREF_SET_NAME)}]
	return s != nil && s.objType == objectHelper
}

// GivesHelper reports whether a line of iptables-save gives a flow its helper.
func (r *XTRule) GivesHelper() bool {
	return slices.Contains(r.Args, "--helper") && slices.Contains(r.Args, "CT")
}

func (fw *Firewall) readLegacy(rules []XTRule) {
	for _, r := range rules {
		at := "iptables " + r.Table + familySuffix(r.IPv6) + ": " + r.Line
		if fw.Tracks == "" && r.Tracks() {
			fw.Tracks = at
		}
		if r.GivesHelper() {
			fw.Helpers = append(fw.Helpers, at)
		}
	}
}
