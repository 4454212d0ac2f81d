package ruleset

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ctview/model"
)

// Others returns the NOTRACK rules of the namespace that no ctview made: nftables rules with a notrack statement in any
// table, which is also what iptables-nft makes of "-j CT --notrack", and the legacy raw tables where they exist. It
// changes and creates nothing. Where a legacy raw table cannot be read, the rest comes with ErrUnread.
func Others(ns Namespace, ours map[string]bool) ([]model.ForeignRule, error) {
	var out []model.ForeignRule
	rd, err := Dial(ns)
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	if _, err := rd.Generation(); err == nil {
		rs, err := rd.Read()
		if err != nil {
			return nil, err
		}
		out = othersNft(rs, ours)
	}
	l := LegacyRead(ns)
	for _, r := range l.Rules {
		if t, ok := ParseTag(r.Option("--comment")); ok && ours[t.ID] || !r.Notrack() {
			continue
		}
		prog := "iptables-legacy "
		if r.IPv6 {
			prog = "ip6tables-legacy "
		}
		hook := map[string]string{"PREROUTING": "prerouting", "OUTPUT": "output"}[r.Chain]
		out = append(out, model.ForeignRule{Place: prog + r.Table + "/" + r.Chain, Hook: hook,
			Match: strings.Join(r.Args, " "), Packets: r.Packets, Bytes: r.Bytes, HasCounter: true})
	}
	if raw := slices.DeleteFunc(l.Unread, func(t string) bool { return !strings.HasPrefix(t, "raw") }); len(raw) > 0 {
		return out, fmt.Errorf("notrack: legacy iptables, %s: %w", strings.Join(raw, ", "), ErrUnread)
	}
	return out, nil
}

// ErrUnread says that rules are there which cannot be read.
var ErrUnread = errors.New("its rules cannot be read (iptables-legacy-save is missing, or fails)")

func othersNft(rs *Ruleset, ours map[string]bool) []model.ForeignRule {
	var out []model.ForeignRule
	for i := range rs.Chains {
		c := &rs.Chains[i]
		own := rs.OwnChain(c)
		for j := range c.Rules {
			r := &c.Rules[j]
			if own || !r.Untracks() {
				continue
			}
			if t, ok := ParseTag(r.Said()); ok && ours[t.ID] {
				continue // ctview's own, through iptables-nft
			}
			f := model.ForeignRule{Place: r.Place(), Match: RuleText(rs, r)}
			f.Packets, f.Bytes, f.HasCounter = r.CounterOf()
			if c.Base {
				f.Hook = hookName(c.Hook)
			}
			out = append(out, f)
		}
	}
	return out
}
