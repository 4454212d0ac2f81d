package main

import (
	"context"
	"fmt"
	"sync"

	"ctview/ctnl"
	"ctview/ctnl/notrack"
	"ctview/model"
	"ctview/model/crash"
	"ctview/tui"
)

// screenRules are the NOTRACK rules for the screen: what tui.Rules asks for, on top of ctnl/notrack. Rules of the session
// end with it.
type screenRules struct {
	conn  *notrack.Installer
	flows notrack.Flows

	mu     sync.Mutex
	lost   []model.NotrackLoss
	failed []error // with which what follows ended, not told yet
}

// newScreenRules returns nil where no backend is there or allowed: the screen then has no NOTRACK.
func newScreenRules(ns *ctnl.Netns) *screenRules {
	conn, err := notrack.Open(ns, notrack.Options{})
	if err != nil {
		return nil
	}
	return &screenRules{conn: conn, flows: notrack.KernelFlows(ns)}
}

// watch keeps the session's rules alive and gathers what others remove, until ctx ends. Either may end before; Failures
// tells why.
func (r *screenRules) watch(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() {
		defer crash.Guard()
		r.fail(ctx, "NOTRACK rules are not kept alive", r.conn.Hold(ctx))
	})
	defer wg.Wait()
	r.fail(ctx, "who removes NOTRACK rules is not seen", r.conn.WatchLosses(ctx, nil, func(l model.NotrackLoss) {
		r.mu.Lock()
		r.lost = append(r.lost, l)
		r.mu.Unlock()
	}))
	return nil
}

func (r *screenRules) fail(ctx context.Context, what string, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = append(r.failed, fmt.Errorf("%s: %w", what, err))
}

// Failures implements tui.Losser.
func (r *screenRules) Failures() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.failed
	r.failed = nil
	return f
}

// Losses implements tui.Losser.
func (r *screenRules) Losses() []model.NotrackLoss {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lost
	r.lost = nil
	return l
}

func (r *screenRules) request(q tui.RuleRequest) *notrack.Request {
	return &notrack.Request{Rules: q.Rules, Keep: q.Keep, Leave: q.Leave}
}

// List implements tui.Rules.
func (r *screenRules) List(ctx context.Context) ([]model.NotrackRule, error) { return r.conn.List(ctx) }

// Others implements tui.Rules.
func (r *screenRules) Others(ctx context.Context) ([]model.ForeignRule, error) {
	return r.conn.Others(ctx)
}

// Preview implements tui.Rules.
func (r *screenRules) Preview(ctx context.Context, q tui.RuleRequest) (*model.NotrackPreview, error) {
	own := ownSession()
	return r.conn.Preview(ctx, r.request(q), r.flows, &own)
}

// Apply implements tui.Rules.
func (r *screenRules) Apply(ctx context.Context, q tui.RuleRequest) (model.NotrackResult, error) {
	return r.conn.Apply(ctx, r.request(q), r.flows, notrack.ApplyOptions{Delete: !q.Leave})
}

// Confirm implements tui.Rules.
func (r *screenRules) Confirm(ctx context.Context, id string, keep *model.Keep) error {
	return r.conn.Confirm(ctx, id, keep)
}

// Remove implements tui.Rules.
func (r *screenRules) Remove(ctx context.Context, ids ...string) error {
	return r.conn.Remove(ctx, ids...)
}

// Ending implements tui.Rules.
func (r *screenRules) Ending(ctx context.Context, ids ...string) (*model.NotrackEnd, error) {
	return r.conn.Ending(ctx, r.flows, ids...)
}

// Last implements tui.Rules.
func (r *screenRules) Last(ctx context.Context) (string, error) { return r.conn.Last(ctx) }

// Undo implements tui.Rules. A rule that is put back takes traffic out of tracking, as one that is added; what that would ask
// is not answered by wishing the removal undone.
func (r *screenRules) Undo(ctx context.Context, only string) (model.NotrackRule, error) {
	for _, was := range r.conn.Removed() {
		p, err := r.Preview(ctx, tui.RuleRequest{Rules: was.Rules, Keep: was.Keep})
		if err != nil {
			return was, err
		}
		if why := p.Unanswered(); why != "" {
			return was, fmt.Errorf("not put back: %s", why)
		}
	}
	rule, back, err := r.conn.Undo(ctx, only)
	if err == nil && back {
		_, err = notrack.DeleteCovered(ctx, r.flows, rule.Rules)
	}
	return rule, err
}
