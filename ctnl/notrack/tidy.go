package notrack

import (
	"context"
	"errors"

	"ctview/ctnl/notrack/ruleset"
)

// Tidy takes away what expired rules of any ctview have left: lines of iptables whose time is over, wide rules of nftables
// whose latch is, tables without a rule. It touches nothing that is alive, and nothing of others.
func (c *Installer) Tidy(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tidy(ctx)
}

// TidyLeft is Tidy for whoever installs nothing. Where nothing of ctview's stands, that is a few short answers of the kernel.
func TidyLeft(ctx context.Context, ns ruleset.Namespace) error {
	left, err := ruleset.Left(ns)
	if err != nil || len(left) == 0 {
		return err
	}
	c, err := Open(ns, Options{Backend: left[0]})
	if err != nil {
		return err
	}
	return errors.Join(c.Tidy(ctx), c.Close())
}

func (c *Installer) tidy(ctx context.Context) error {
	names, err := ruleset.Left(c.ns)
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

// RemoveAll takes away every rule that outlives its ctview, expired or not, and what belongs to them, in every backend and
// whatever state it is in. It returns how many rules there were. Those of running sessions stay.
func (c *Installer) RemoveAll(ctx context.Context) (int, error) {
	ids, err := c.All(ctx)
	if err != nil {
		return 0, err
	}
	if len(ids) > 0 {
		if err := c.Remove(ctx, ids...); err != nil {
			return 0, err
		}
	}
	return len(ids), c.Tidy(ctx)
}

// All returns the IDs of the rules that RemoveAll takes away.
func (c *Installer) All(ctx context.Context) (ids []string, err error) {
	rules, err := c.List(ctx)
	for i := range rules {
		if rules[i].Owner == 0 || !pidAlive(rules[i].Owner) {
			ids = append(ids, rules[i].ID)
		}
	}
	return ids, err
}
