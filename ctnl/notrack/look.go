package notrack

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
	Unread   bool     // the rules in Legacy could not be read: iptables-legacy-save is missing
	Tracks   string   // where the first rule stands that makes the namespace track connections, "" for none
	Helpers  []string // where rules stand that give flows a helper
}

// objectHelper is NFT_OBJECT_CT_HELPER.
const objectHelper = 3

// Look reads the rules of a namespace. A nil ns is that of the caller's thread. Errors wrap ErrPermission.
func Look(ns Namespace) (Firewall, error) {
	if ns == nil {
		ns = here{}
	}
	var fw Firewall
	rd, err := dialConn(ns)
	if err != nil {
		return fw, err
	}
	defer rd.Close()
	switch _, err = rd.generation(); {
	case err == nil:
		rs, err := rd.readRuleset()
		if err != nil {
			return fw, err
		}
		fw.NFTables = true
		fw.readNft(rs)
	case errors.Is(err, unix.EPERM):
		return fw, wrap("probe nf_tables", err)
	}
	for _, v6 := range [...]bool{false, true} {
		for _, t := range legacyTables(ns, v6) {
			fw.Legacy = append(fw.Legacy, t+familySuffix(v6))
			_, err := lookTool(legacySave[v6])
			fw.Unread = fw.Unread || err != nil
		}
	}
	fw.readLegacy(legacyRules(ns))
	return fw, nil
}

func familySuffix(v6 bool) string {
	if v6 {
		return " (ipv6)"
	}
	return ""
}

func (fw *Firewall) readNft(rs *ruleset) {
	for i := range rs.chains {
		c := &rs.chains[i]
		fw.Rules += len(c.rules)
		for j := range c.rules {
			r := &c.rules[j]
			at := familyName(c.family) + " " + c.table + " " + c.name + ": "
			if fw.Tracks == "" && c.tracks(*r) {
				fw.Tracks = at + ruleText(rs, r)
			}
			if slices.ContainsFunc(r.exprs, helperExpr) {
				fw.Helpers = append(fw.Helpers, at+ruleText(rs, r))
			}
		}
	}
}

// helperExpr reports whether x gives a flow its helper: an object of that type, or the CT target with --helper.
func helperExpr(x nftExpr) bool {
	if x.name == "target" && xtName(x) == "CT" {
		return !xtNotrack(&x) && xtHelper(&x)
	}
	return x.name == "objref" && be32(attr(x.data, unix.NFTA_OBJREF_IMM_TYPE)) == objectHelper
}

// xtHelper reports whether a CT target has a helper's name (struct xt_ct_target_info: flags, zone, two event masks,
// then the name).
func xtHelper(x *nftExpr) bool {
	info := attr(x.data, 3) // NFTA_TARGET_INFO
	return len(info) > 12 && info[12] != 0
}

func (fw *Firewall) readLegacy(rules []xtRule) {
	for _, r := range rules {
		at := "iptables " + r.table + familySuffix(r.v6) + ": " + r.line
		if fw.Tracks == "" && r.tracks() {
			fw.Tracks = at
		}
		if slices.Contains(r.args, "--helper") && slices.Contains(r.args, "CT") {
			fw.Helpers = append(fw.Helpers, at)
		}
	}
}
