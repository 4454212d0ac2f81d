package notrack

import (
	"context"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
	"ctview/model/filter"
)

// Rules of ctview's can stand in more than one place at a time: a ctview that was told --backend iptables leaves some
// in the raw table. Every Installer lists them all, and changes each where it stands.

// backendOf returns the backend that a listed rule stands in.
func (c *Installer) backendOf(r *model.NotrackRule) (backend, error) {
	return c.named(r.Backend)
}

func (c *Installer) named(name string) (backend, error) {
	if name == c.be.name() {
		return c.be, nil
	}
	if b, ok := c.others[name]; ok {
		return b, nil
	}
	b, _, err := pick(c.ns, name)
	if err != nil {
		return nil, err
	}
	if c.others == nil {
		c.others = map[string]backend{}
	}
	c.others[name] = b
	return b, nil
}

// listAll lists the rules of every backend, oldest first. Nothing is run for those that are empty, and the nftables
// ruleset, which can be large, is read once.
func (c *Installer) listAll(ctx context.Context) (rules []model.NotrackRule, err error) {
	if n, ok := c.be.(*nft); ok {
		rs, have, err := n.readInstalled()
		if err != nil {
			return nil, err
		}
		rules = append(have.rules, c.rawRules(ctx, rs)...)
	} else {
		if rules, err = c.be.list(ctx); err != nil {
			return nil, err
		}
		more, err := c.listNft(ctx, c.be.name())
		if err != nil {
			return nil, err
		}
		rules = append(rules, more...)
	}
	if c.be.name() != "iptables-legacy" && (len(ruleset.LegacyTables(c.ns, false)) > 0 || len(ruleset.LegacyTables(c.ns, true)) > 0) {
		if b, err := c.backendOf(&model.NotrackRule{Backend: "iptables-legacy"}); err == nil {
			more, err := b.list(ctx)
			if err != nil {
				return nil, err
			}
			rules = append(rules, more...)
		}
	}
	model.SortNotrackRules(rules)
	return rules, nil
}

// listNft lists what the nftables ruleset has of the backends other than own, an iptables: no program is run for it.
func (c *Installer) listNft(ctx context.Context, own string) ([]model.NotrackRule, error) {
	rd, err := ruleset.Dial(c.ns)
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	if _, err := rd.Generation(); err != nil {
		return nil, nil // a kernel without nf_tables
	}
	rs, err := rd.Read()
	if err != nil {
		return nil, err
	}
	var rules []model.NotrackRule
	if own != "iptables-nft" {
		rules = c.rawRules(ctx, rs)
	}
	if own != "nftables" && slices.ContainsFunc(rs.Tables, func(t ruleset.Table) bool { return t.Named() }) {
		in, err := (&nft{ns: c.ns, rd: rd}).installed(rs)
		if err != nil {
			return nil, err
		}
		rules = append(rules, in.rules...)
	}
	return rules, nil
}

// rawRules returns ctview's rules in the tables that iptables-nft keeps. Where something there bears ctview's mark, its
// own program is asked what the rules say: a comment alone does not make them ctview's.
func (c *Installer) rawRules(ctx context.Context, rs *ruleset.Ruleset) []model.NotrackRule {
	marked := rawMarked(rs)
	if len(marked) == 0 {
		return nil
	}
	b, err := c.backendOf(&model.NotrackRule{Backend: "iptables-nft"})
	if err != nil {
		return marked // no program to look closer with, nor one to change them by
	}
	rules, err := b.list(ctx)
	if err != nil {
		return marked
	}
	return rules
}

// rawMarked reads ctview's rules out of the tables that iptables-nft keeps.
func rawMarked(rs *ruleset.Ruleset) []model.NotrackRule {
	at := map[string]int{}
	var rules []model.NotrackRule
	for i := range rs.Chains {
		c := &rs.Chains[i]
		if c.Table != "raw" || c.Family != unix.NFPROTO_IPV4 && c.Family != unix.NFPROTO_IPV6 {
			continue
		}
		for j := range c.Rules {
			r := &c.Rules[j]
			t, ok := ruleset.ParseTag(r.Said())
			start, stop := r.Dates()
			left := leftBetween(start, stop)
			if !ok || !r.Untracks() || !stop.IsZero() && left <= 0 {
				continue
			}
			k, ok := at[t.ID]
			if !ok {
				k = len(rules)
				at[t.ID] = k
				rules = append(rules, model.NotrackRule{ID: t.ID, Backend: "iptables-nft", Table: "raw", Hooks: "prerouting output",
					Keep: t.Keep, Who: t.Who, When: t.Made(), Limited: !stop.IsZero(), Left: max(left, 0), Pending: t.Trial != 0,
					Owner: uint32(t.Owner), Mine: t.Owner == os.Getpid()})
			}
			x := &rules[k]
			pk, by, _ := r.CounterOf()
			x.Packets[t.Dir] += pk
			x.Bytes[t.Dir] += by
			if m, err := filter.ParseRule(t.Rule); err == nil && !slices.Contains(x.Rules, m) {
				x.Rules = append(x.Rules, m)
			}
		}
	}
	return rules
}

// byBackend sorts ids by the backend that has them, and returns their rules. An id that nobody has is an error.
func (c *Installer) byBackend(ctx context.Context, ids []string) (map[backend][]string, []model.NotrackRule, error) {
	rules, err := c.listAll(ctx)
	if err != nil {
		return nil, nil, err
	}
	out := map[backend][]string{}
	var have []model.NotrackRule
	for _, id := range ids {
		i := slices.IndexFunc(rules, func(r model.NotrackRule) bool { return r.ID == id })
		if i < 0 {
			return nil, nil, fmt.Errorf("notrack: %s: %w", id, ErrNoRule)
		}
		b, err := c.backendOf(&rules[i])
		if err != nil {
			return nil, nil, err
		}
		out[b] = append(out[b], id)
		have = append(have, rules[i])
	}
	return out, have, nil
}

// Others returns the NOTRACK rules of the namespace that no ctview made, with ErrUnread where there may be more. It changes
// and creates nothing.
func (c *Installer) Others(ctx context.Context) ([]model.ForeignRule, error) {
	rules, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	ours := map[string]bool{}
	for i := range rules {
		ours[rules[i].ID] = true
	}
	return ruleset.Others(c.ns, ours)
}
