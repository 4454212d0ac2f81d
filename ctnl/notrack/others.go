package notrack

import (
	"context"
	"slices"
	"strings"

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
		if !r.notrack() || strings.Contains(r.line, xtTag) {
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
			if strings.HasPrefix(r.comment, xtTag) {
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
