package ruleset

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"ctview/ctnl"
)

// trackingExprs are the expressions that make a namespace track connections while a rule has them (nf_ct_netns_get in
// their init functions).
var trackingExprs = map[string]bool{"ct": true, "nat": true, "masq": true, "redir": true, "connlimit": true,
	"flow_offload": true, "synproxy": true}

// trackingXT are the same of xtables, in rules that iptables-nft keeps as matches and targets.
var trackingXT = map[string]bool{"conntrack": true, "state": true, "connmark": true, "CONNMARK": true, "connbytes": true,
	"connlabel": true, "connlimit": true, "helper": true, "MASQUERADE": true, "SNAT": true, "DNAT": true,
	"REDIRECT": true, "NETMAP": true, "CT": true, "CONNSECMARK": true, "cluster": true}

// Tracking reports whether anything but ctview makes the namespace track connections. The hooks themselves cannot be
// asked for on every kernel (CONFIG_NETFILTER_NETLINK_HOOK); what registers them can be seen: rules that use
// conntrack, a legacy NAT or mangle table that may, or entries in the table.
func Tracking(rs *Ruleset, ns Namespace) bool {
	for i := range rs.Chains {
		if slices.ContainsFunc(rs.Chains[i].Rules, func(r Rule) bool { return rs.tracks(&rs.Chains[i], &r) }) {
			return true
		}
	}
	for _, l := range legacyRules(ns) {
		if l.Tracks() {
			return true
		}
	}
	return false
}

// tracks reports whether rule r makes the namespace track connections and its chain c is not ctview's.
func (rs *Ruleset) tracks(c *Chain, r *Rule) bool {
	return r.usesConntrack() && !rs.OwnChain(c) && !rs.watching(c)
}

func (r *Rule) usesConntrack() bool {
	return slices.ContainsFunc(r.Exprs, func(x Expr) bool {
		xt := (x.Name == "match" || x.Name == "target") && trackingXT[XTName(x)]
		return trackingExprs[x.Name] || x.Name == "objref" && x.U32(unix.NFTA_OBJREF_IMM_TYPE) == objectHelper ||
			xt && !(XTName(x) == "CT" && xtNotrack(&x))
	})
}

// Active reports whether anything but ctview makes the namespace track connections. It changes and creates nothing.
func Active(ns Namespace) (bool, error) {
	if ns == nil {
		ns = Here{}
	}
	rd, err := Dial(ns)
	if err != nil {
		return false, err
	}
	defer rd.Close()
	rs := &Ruleset{}
	if _, err := rd.Generation(); err == nil {
		if rs, err = rd.Read(); err != nil {
			return false, err
		}
	} else if err := Wrap("ask for the ruleset", err); errors.Is(err, ctnl.ErrPermission) {
		return false, err
	}
	return Tracking(rs, ns), nil
}
