package notrack

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// DefaultTrial is how long a rule lives unless it is confirmed.
const DefaultTrial = 60 * time.Second

// A Request asks for rules under one name.
type Request struct {
	Rules []model.Rule
	Trial time.Duration // life until confirmed; 0 is DefaultTrial, at least a second
	Keep  model.Keep    // life once confirmed
	Leave bool          // the covered entries stay: what Preview says of the end is another
}

func (c *Installer) group(q *Request) (*group, error) {
	if len(q.Rules) == 0 {
		return nil, model.ErrRuleEmpty
	}
	for i := range q.Rules {
		if err := q.Rules[i].Check(); err != nil {
			return nil, fmt.Errorf("notrack: %w", err)
		}
	}
	if err := c.be.check(q.Rules); err != nil {
		return nil, err
	}
	trial := q.Trial
	if trial == 0 {
		trial = DefaultTrial
	}
	now := time.Now()
	g := &group{id: ID(q.Rules), rules: q.Rules, Meta: ruleset.Meta{Who: c.who, When: now.Unix(), Nanos: int64(now.Nanosecond()), Keep: q.Keep,
		Trial: max(1, int64(trial/time.Second))}}
	g.life = time.Duration(g.Trial) * time.Second
	if q.Keep == model.KeepSession {
		g.Owner = os.Getpid()
	}
	return g, nil
}

// Add installs the rules of a request for their trial time, in one transaction, and returns what stands in the kernel
// then. Nothing is checked beyond Rule.Check: see Preview, and Apply for the whole procedure. Rules that are installed
// already give ErrExists and the rule that is there.
func (c *Installer) Add(ctx context.Context, q *Request) (model.NotrackRule, error) {
	g, err := c.group(q)
	if err != nil {
		return model.NotrackRule{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.tidy(ctx) // what is left of expired rules does no harm; the next one tries again
	rules, err := c.listAll(ctx)
	if err != nil {
		return model.NotrackRule{}, err
	}
	addErr := fmt.Errorf("notrack: rule %s (%s): %w", g.id, model.RulesText(g.rules), ErrExists)
	if !slices.ContainsFunc(rules, func(r model.NotrackRule) bool { return r.ID == g.id }) {
		addErr = c.be.add(ctx, g)
		rules, err = c.be.list(ctx)
	}
	if addErr != nil {
		err = addErr
	} else {
		c.undo = append(c.undo, nil)
	}
	for i := range rules {
		if rules[i].ID == g.id {
			return rules[i], err
		}
	}
	if err == nil {
		err = fmt.Errorf("notrack: rule %s is not there after it was installed: %w", g.id, ErrNoRule)
	}
	return model.NotrackRule{ID: g.id, Rules: q.Rules}, err
}

// Confirm gives a rule the life that it was made for, or keep where it is not nil. A rule of this process's session that
// is to outlive it moves to the shared table.
func (c *Installer) Confirm(ctx context.Context, id string, keep *model.Keep) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	rules, err := c.listAll(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(rules, func(r model.NotrackRule) bool { return r.ID == id })
	if i < 0 {
		return fmt.Errorf("notrack: %s: %w", id, ErrNoRule)
	}
	r := &rules[i]
	k := r.Keep
	if keep != nil {
		k = *keep
	}
	be, err := c.backendOf(r)
	if err != nil {
		return err
	}
	life := time.Duration(0)
	if k > 0 {
		// An unconfirmed rule is known by having its trial time as time-out.
		life = time.Duration(k)*time.Second + 4*jitter
	}
	switch {
	case k == model.KeepSession && r.Owner == 0:
		return fmt.Errorf("notrack: %s is in the shared table and cannot be tied to a session: %w", id, ErrNotOurs)
	case k == model.KeepSession:
		return be.extend(ctx, id, be.sessionLife())
	case r.Mine:
		c.taken = append(c.taken, id)
		return be.share(ctx, r, k, life)
	}
	return be.extend(ctx, id, life)
}

// Extend gives a rule another life, from now on.
func (c *Installer) Extend(ctx context.Context, id string, life time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	by, _, err := c.byBackend(ctx, []string{id})
	if err != nil {
		return err
	}
	for be := range by {
		err = be.extend(ctx, id, max(life, time.Second))
	}
	return err
}

// Remove takes rules out, those of one table in one transaction.
func (c *Installer) Remove(ctx context.Context, ids ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	by, removed, err := c.byBackend(ctx, ids)
	if err != nil {
		return err
	}
	c.taken = append(c.taken, ids...)
	c.taken = c.taken[max(0, len(c.taken)-1000):]
	for be, ids := range by {
		if err := be.remove(ctx, ids); err != nil {
			return err
		}
		_ = be.sweep(ctx) // the same
	}
	c.undo = append(c.undo, removed)
	c.undo = c.undo[max(0, len(c.undo)-100):]
	return nil
}

// Undo takes back the last change: it puts back what this Installer removed last, or removes the rule that was made last, as
// far as this ctview may. It returns the rule; back says that it was put back. Where only is not "", no other rule is removed
// than that one, which somebody agreed to.
func (c *Installer) Undo(ctx context.Context, only string) (r model.NotrackRule, back bool, err error) {
	c.mu.Lock()
	removed, made, err := c.last(ctx)
	if err == nil && only != "" && (made == nil || made.ID != only) {
		err = fmt.Errorf("notrack: %s is not what was done last any more: %w", only, ErrNoRule)
	} else if n := len(c.undo); err == nil && n > 0 {
		c.undo = c.undo[:n-1]
	}
	if err != nil || made == nil {
		defer c.mu.Unlock()
		for i := 0; err == nil && i < len(removed); i++ {
			r, err = removed[i], c.putBack(ctx, &removed[i])
		}
		if err == nil && len(removed) == 0 {
			err = fmt.Errorf("notrack: nothing to undo: %w", ErrNoRule)
		}
		return r, len(removed) > 0, err
	}
	c.mu.Unlock()
	err = c.Remove(ctx, made.ID)
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := len(c.undo); err == nil && k > 0 {
		c.undo = c.undo[:k-1] // undoing is not a change to be undone
	}
	return *made, false, err
}

// last returns what Undo would take back: the rules that it would put back, or the one that it would remove, nil for neither.
func (c *Installer) last(ctx context.Context) (removed []model.NotrackRule, made *model.NotrackRule, err error) {
	if n := len(c.undo); n > 0 && len(c.undo[n-1]) > 0 {
		return c.undo[n-1], nil, nil
	}
	rules, err := c.listAll(ctx)
	for i := range slices.Backward(rules) {
		if rules[i].Owner == 0 || rules[i].Mine {
			return nil, &rules[i], err
		}
	}
	return nil, nil, err
}

// putBack installs a rule that was removed, for what was left of its life; one on trial is on trial again.
func (c *Installer) putBack(ctx context.Context, r *model.NotrackRule) error {
	be, err := c.backendOf(r)
	if err != nil {
		return err
	}
	g := &group{id: r.ID, rules: r.Rules, Meta: ruleset.Meta{Who: r.Who, When: r.When.Unix(), Nanos: int64(r.When.Nanosecond()), Keep: r.Keep, Owner: int(r.Owner)}}
	switch {
	case r.Pending: // which is known by having its trial time as time-out
		g.Trial = max(1, int64(r.Left/time.Second))
		g.life = time.Duration(g.Trial) * time.Second
	case r.Limited:
		g.life = max(r.Left, time.Second)
	case r.Keep == model.KeepSession:
		g.life = be.sessionLife()
	}
	return be.add(ctx, g)
}

// List returns the rules of every ctview in the namespace, oldest first. It changes nothing.
func (c *Installer) List(ctx context.Context) ([]model.NotrackRule, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.listAll(ctx)
}
