package ruleset

import (
	"errors"
	"os"
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

// Tracked says for which families a namespace tracks connections because of somebody but ctview.
type Tracked struct {
	IPv4, IPv6 bool
	no6        bool // the kernel has no IPv6
}

// Any reports whether connections are tracked at all.
func (t Tracked) Any() bool { return t.IPv4 || t.IPv6 }

// All reports whether a rule of family inet that uses conntrack would switch nothing on.
func (t Tracked) All() bool { return t.IPv4 && (t.IPv6 || t.no6) }

// Family returns the nf_tables family (NFPROTO_*) of the table whose rules may use conntrack and switch nothing on. Only
// with Any.
func (t Tracked) Family() uint8 {
	switch {
	case t.All():
		return unix.NFPROTO_INET
	case t.IPv4:
		return unix.NFPROTO_IPV4
	}
	return unix.NFPROTO_IPV6
}

// Tracking tells what makes the namespace track connections beside ctview. The hooks themselves cannot be asked for on
// every kernel (CONFIG_NETFILTER_NETLINK_HOOK); what registers them can be seen: rules that use conntrack, of a table of
// one family or of both.
func Tracking(rs *Ruleset, ns Namespace) (t Tracked) {
	for i := range rs.Chains {
		c := &rs.Chains[i]
		if slices.ContainsFunc(c.Rules, func(r Rule) bool { return rs.tracks(c, &r) }) {
			t.IPv4 = t.IPv4 || c.Family != unix.NFPROTO_IPV6
			t.IPv6 = t.IPv6 || c.Family != unix.NFPROTO_IPV4
		}
	}
	_ = ns.Do(func() error {
		_, err := os.Stat("/proc/sys/net/ipv6")
		t.no6 = errors.Is(err, os.ErrNotExist)
		return nil
	})
	if t.All() {
		return t // without running the programs
	}
	for _, l := range legacyRules(ns) {
		if l.Tracks() {
			t.IPv4 = t.IPv4 || !l.IPv6
			t.IPv6 = t.IPv6 || l.IPv6
		}
	}
	return t
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

// Active tells what makes the namespace track connections beside ctview. It changes and creates nothing.
func Active(ns Namespace) (Tracked, error) {
	if ns == nil {
		ns = Here{}
	}
	rd, err := Dial(ns)
	if err != nil {
		return Tracked{}, err
	}
	defer rd.Close()
	rs := &Ruleset{}
	if _, err := rd.Generation(); err == nil {
		if rs, err = rd.Read(); err != nil {
			return Tracked{}, err
		}
	} else if err := Wrap("ask for the ruleset", err); errors.Is(err, ctnl.ErrPermission) {
		return Tracked{}, err
	}
	return Tracking(rs, ns), nil
}
