package notrack

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"ctview/ctnl/notrack/ruleset"
)

// Tidy takes away what expired rules of any ctview have left: lines of iptables whose time is over, wide rules of nftables
// whose latch is, tables without a rule. It touches nothing that is alive, and nothing of others.
func (c *Installer) Tidy(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tidy(ctx)
}

func (c *Installer) tidy(ctx context.Context) error {
	names, err := c.standing()
	errs := []error{err}
	for _, name := range names {
		be, err := c.named(name)
		if err == nil {
			err = be.sweep(ctx)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// standing names the backends in which something of ctview's may stand. No program is run for that.
func (c *Installer) standing() (names []string, err error) {
	rd, err := ruleset.Dial(c.ns)
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	if _, err := rd.Generation(); err == nil {
		rs, err := rd.Read()
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(rs.Tables, func(t ruleset.Table) bool { return t.Named() }) {
			names = append(names, "nftables")
		}
		if slices.ContainsFunc(rs.Chains, rawMark) {
			names = append(names, "iptables-nft")
		}
	}
	for _, v6 := range [...]bool{false, true} {
		if !slices.Contains(names, "iptables-legacy") && slices.Contains(ruleset.LegacyTables(c.ns, v6), "raw") {
			names = append(names, "iptables-legacy")
		}
	}
	return names, nil
}

// rawMark reports whether a chain of the tables of iptables-nft has a mark of ctview's: a comment, or the chain's name.
func rawMark(ch ruleset.Chain) bool {
	return ch.Table == "raw" && (ch.Family == unix.NFPROTO_IPV4 || ch.Family == unix.NFPROTO_IPV6) &&
		(ch.Name == madeRaw || slices.ContainsFunc(ch.Rules, func(r ruleset.Rule) bool { _, ok := ruleset.ParseTag(r.Said()); return ok }))
}

// RemoveAll takes away every rule that outlives its ctview, expired or not, and what belongs to them, in every backend and
// whatever state it is in. It returns how many rules there were. Those of running sessions stay.
func (c *Installer) RemoveAll(ctx context.Context) (int, error) {
	rules, err := c.List(ctx)
	if err != nil {
		return 0, err
	}
	var ids []string
	for i := range rules {
		if rules[i].Owner == 0 || !pidAlive(rules[i].Owner) {
			ids = append(ids, rules[i].ID)
		}
	}
	if len(ids) > 0 {
		if err := c.Remove(ctx, ids...); err != nil {
			return 0, err
		}
	}
	return len(ids), c.Tidy(ctx)
}
