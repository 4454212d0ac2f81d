package tui

import (
	"context"
	"time"

	"ctview/model"
)

// A RuleRequest asks for NOTRACK rules under one name.
type RuleRequest struct {
	Rules []model.Rule
	Keep  model.Keep // life once confirmed
	Leave bool       // the entries that it covers stay
}

// Rules are the NOTRACK rules of the namespace. Methods are called from goroutines of their own and end when ctx does.
// Rules are installed for a trial and go by themselves unless they are confirmed.
type Rules interface {
	List(ctx context.Context) ([]model.NotrackRule, error)
	Others(ctx context.Context) ([]model.ForeignRule, error)
	Preview(ctx context.Context, q RuleRequest) (*model.NotrackPreview, error)
	// Apply installs q for the trial, deletes the entries that it covers unless they are to stay, and looks whether it works.
	Apply(ctx context.Context, q RuleRequest) (model.NotrackResult, error)
	// Confirm keeps a rule beyond its trial; keep nil: as was asked for.
	Confirm(ctx context.Context, id string, keep *model.Keep) error
	Remove(ctx context.Context, ids ...string) error
	// Ending tells what becomes of the connections of rules when they end.
	Ending(ctx context.Context, ids ...string) (*model.NotrackEnd, error)
	// Last returns the rule that Undo would remove, "" if there is none, or if it would put rules back.
	Last(ctx context.Context) (id string, err error)
	// Undo takes back the last change: it removes the rule that was installed last, or puts back what was removed last. If only
	// is not "", it removes no other rule than that one.
	Undo(ctx context.Context, only string) (model.NotrackRule, error)
}

// trial is how long a rule lives that nobody confirms, as the texts say it.
const trial = 60 * time.Second
