package notrack

import (
	"bytes"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// trackingExprs are the expressions that make a namespace track connections while a rule has them (nf_ct_netns_get in
// their init functions).
var trackingExprs = map[string]bool{"ct": true, "nat": true, "masq": true, "redir": true, "connlimit": true,
	"flow_offload": true, "synproxy": true}

// trackingXT are the same of xtables, in rules that iptables-nft keeps as matches and targets.
var trackingXT = map[string]bool{"conntrack": true, "state": true, "connmark": true, "CONNMARK": true, "connbytes": true,
	"connlabel": true, "connlimit": true, "helper": true, "MASQUERADE": true, "SNAT": true, "DNAT": true,
	"REDIRECT": true, "NETMAP": true, "CT": true, "CONNSECMARK": true, "cluster": true}

// active reports whether anything but ctview makes the namespace track connections. The hooks themselves cannot be
// asked for on every kernel (CONFIG_NETFILTER_NETLINK_HOOK); what registers them can be seen: rules that use
// conntrack, a legacy NAT or mangle table that may, or entries in the table.
func active(rs *ruleset, ns Namespace) bool {
	for i := range rs.chains {
		if slices.ContainsFunc(rs.chains[i].rules, rs.chains[i].tracks) {
			return true
		}
	}
	for _, l := range legacyRules(ns) {
		if l.tracks() {
			return true
		}
	}
	return false
}

// tracks reports whether the chain is not ctview's and rule r makes the namespace track connections.
func (c *nftChain) tracks(r nftRule) bool {
	if ours(&nftTable{family: c.family, name: c.table}) || strings.HasPrefix(c.table, watchPrefix) {
		return false
	}
	return slices.ContainsFunc(r.exprs, func(x nftExpr) bool {
		xt := (x.name == "match" || x.name == "target") && trackingXT[xtName(x)]
		return trackingExprs[x.name] || x.name == "objref" && be32(attr(x.data, unix.NFTA_OBJREF_IMM_TYPE)) == objectHelper ||
			xt && !(xtName(x) == "CT" && xtNotrack(&x))
	})
}

// watchPrefix begins the name of the tables of package states.
const watchPrefix = "ctview_watch_"

// readIn reads a file of /proc in the namespace; "" where it cannot. /proc/thread-self is the thread that is in it.
func readIn(ns Namespace, file string) string {
	var b []byte
	_ = ns.Do(func() (err error) {
		b, err = os.ReadFile(file)
		return err
	})
	return string(bytes.TrimSpace(b))
}

// xtName returns the name of an xtables match or target (NFTA_MATCH_NAME and NFTA_TARGET_NAME are both 1).
func xtName(x nftExpr) string { return cstr(attr(x.data, 1)) }
