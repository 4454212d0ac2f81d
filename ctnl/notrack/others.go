package notrack

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ctview/model"
)

// Others returns the NOTRACK rules of the namespace that no ctview made: nftables rules with a notrack statement in any
// table, which is also what iptables-nft makes of "-j CT --notrack", and the legacy raw tables where they exist. It
// changes and creates nothing.
func (c *Conn) Others(context.Context) ([]model.ForeignRule, error) {
	var out []model.ForeignRule
	rd, err := dialConn(c.ns)
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	if _, err := rd.generation(); err == nil {
		rs, err := rd.readRuleset()
		if err != nil {
			return nil, err
		}
		out = othersNft(rs)
	}
	for _, r := range legacyRules(c.ns) {
		if _, mine := parseTag(r.option("--comment")); mine || !r.notrack() {
			continue
		}
		prog := "iptables-legacy "
		if r.v6 {
			prog = "ip6tables-legacy "
		}
		hook := map[string]string{"PREROUTING": "prerouting", "OUTPUT": "output"}[r.chain]
		out = append(out, model.ForeignRule{Place: prog + r.table + "/" + r.chain, Hook: hook,
			Match: strings.Join(r.args, " "), Packets: r.pk, Bytes: r.by, HasCounter: true})
	}
	return out, nil
}

func (r *xtRule) notrack() bool {
	i := slices.Index(r.args, "-j")
	if i < 0 || i+1 >= len(r.args) {
		return false
	}
	return r.args[i+1] == "NOTRACK" || r.args[i+1] == "CT" && slices.Contains(r.args, "--notrack")
}

func othersNft(rs *ruleset) []model.ForeignRule {
	var out []model.ForeignRule
	for i := range rs.chains {
		c := &rs.chains[i]
		if ours(&nftTable{family: c.family, name: c.table}) {
			continue
		}
		for j := range c.rules {
			r := &c.rules[j]
			if !r.untracks() {
				continue
			}
			if _, ok := parseTag(r.said()); ok {
				continue // ctview's own, through iptables-nft
			}
			f := model.ForeignRule{Place: r.place(), Match: ruleText(rs, r)}
			f.Packets, f.Bytes, f.HasCounter = r.counterOf()
			if c.base {
				f.Hook = hookName(c.hook)
			}
			out = append(out, f)
		}
	}
	return out
}

// said returns the comment of a rule, which iptables-nft keeps as an xtables match.
func (r *nftRule) said() string {
	for i := range r.exprs {
		if x := &r.exprs[i]; x.name == "match" && xtName(*x) == "comment" {
			return cstr(attr(x.data, unix.NFTA_MATCH_INFO))
		}
	}
	return r.comment
}

// untracks reports whether the rule has a notrack statement or the xtables target that does the same.
func (r *nftRule) untracks() bool {
	for i := range r.exprs {
		x := &r.exprs[i]
		if x.name == "notrack" || x.name == "target" && (xtName(*x) == "NOTRACK" || xtName(*x) == "CT" && xtNotrack(x)) {
			return true
		}
	}
	return false
}
