package notrack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ctview/model"
)

// beat is how often rules of a session that the kernel does not tie to the process are given more time, and lease for
// how long: killed, ctview leaves them no longer than that.
const (
	beat  = 20 * time.Second
	lease = 60 * time.Second
)

// Hold keeps the confirmed rules of this session alive until ctx ends and returns its error, or why they are gone. Where
// the session's table belongs to the process (nftables since Linux 5.12) there is nothing to do for that. It does what Tidy
// does, too.
func (c *Installer) Hold(ctx context.Context) error {
	t := time.NewTicker(beat)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		if err := c.keep(ctx); err != nil && !errors.Is(err, ErrNoRule) {
			return fmt.Errorf("notrack: the session's rules could not be kept: %w", err)
		}
	}
}

// keep is what Hold does at each beat.
func (c *Installer) keep(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := c.tidy(ctx)
	if errors.Is(left, errNoPrograms) { // what they would take away harms no rule of the session
		left = nil
	}
	return errors.Join(c.be.beat(ctx), left)
}

func (n *nft) check([]model.Rule) error { return nil }

func (n *nft) sessionLife() time.Duration {
	if n.s == nil || n.s.owned {
		return 0
	}
	return lease + 4*jitter // not the trial time, by which an unconfirmed rule is known
}

// beat extends the confirmed rules of a session whose table has no owner.
func (n *nft) beat(ctx context.Context) error {
	if n.s == nil || n.s.owned {
		return nil
	}
	_, have, err := n.readInstalled()
	if err != nil {
		return err
	}
	for i := range have.rules {
		r := &have.rules[i]
		if r.Mine && !r.Pending {
			if err := n.extendOnce(r.ID, n.sessionLife()); err != nil {
				return err
			}
		}
	}
	return nil
}
