package notrack

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/mdlayher/netlink"
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

// Active reports whether anything but ctview makes the namespace track connections. It changes and creates nothing.
func Active(ns Namespace) (bool, error) {
	if ns == nil {
		ns = here{}
	}
	rd, err := dialConn(ns)
	if err != nil {
		return false, err
	}
	defer rd.Close()
	rs := &ruleset{}
	if _, err := rd.generation(); err == nil {
		if rs, err = rd.readRuleset(); err != nil {
			return false, err
		}
	} else if err := wrap("ask for the ruleset", err); errors.Is(err, ErrPermission) {
		return false, err
	}
	return active(rs, ns), nil
}

// OwnTable makes a table of family inet that belongs to the netlink socket raw and goes with it (NFT_TABLE_F_OWNER,
// Linux 5.12).
func OwnTable(raw *netlink.Conn, name string) error {
	err := newTable(raw, name, nftTableFOwner)
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EEXIST):
		return fmt.Errorf("notrack: table %s: %w", name, ErrExists)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("notrack: table %s: this kernel cannot tie a table to a program (Linux 5.12 can): %w", name, err)
	}
	return wrap("make table "+name, err)
}
