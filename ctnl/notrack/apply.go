package notrack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/notrack/dryrun"
	"ctview/model"
)

// ApplyOptions say what Apply does beside installing.
type ApplyOptions struct {
	Delete bool          // delete the covered entries
	Verify time.Duration // how long to look for leaks; 0 is DefaultVerify, negative is not at all
}

// DefaultVerify is how long Apply watches whether the traffic is untracked. It ends earlier once packets were seen.
const DefaultVerify = 2 * time.Second

// settle is how long after the deletion a packet may still be on its way that was matched before the rule was there.
const settle = 100 * time.Millisecond

// Apply installs the rules of a request, looks whether packets get past them, deletes the covered entries, and looks
// again: by the leak counters behind conntrack and by events of new flows. Where packets are tracked all the same, the rule
// is taken back and the result says why. The order matters: an entry deleted before the rule stood would be made again by
// the next packet; and one that is still there when a leak is found keeps its connection alive. Entries that were deleted
// by then are put back before the rule goes. Entries of which nothing could be told later stay (see fragile).
func (c *Installer) Apply(ctx context.Context, q *Request, flows Flows, opt ApplyOptions) (res model.NotrackResult, err error) {
	cov := newCoverer(q.Rules)
	if opt.Verify == 0 {
		opt.Verify = DefaultVerify
	}
	a := &attempt{c: c, q: q, flows: flows, opt: opt, seen: &newFlows{cov: cov}, res: &res}
	stop, err := flows.Watch(ctx, a.seen.add)
	if err != nil {
		return res, err
	}
	defer func() {
		if werr := stop(); werr != nil && err == nil && res.TakenBack == "" {
			err = fmt.Errorf("notrack: rule %s is installed, but new flows could not be watched: %w", res.Rule.ID, werr)
		}
	}()
	res.Rule, err = c.Add(ctx, q)
	if errors.Is(err, ErrExists) {
		res.Existed = true
		return res, nil
	}
	if err != nil {
		return res, err
	}
	// Where nothing is tracked there is nothing to verify.
	look := opt.Verify > 0 && (res.Rule.HasLeak || c.tracking())
	blind := false
	if look && opt.Delete {
		if err := a.first(ctx, opt.Verify/2); err != nil || res.TakenBack != "" {
			return res, err
		}
		if !res.Rule.HasLeak && !a.proved {
			if res.Kept, blind, err = a.fragile(ctx); err != nil {
				return res, err
			}
		}
	}
	if opt.Delete && res.Kept == 0 {
		if _, err := c.find(ctx, res.Rule.ID); err != nil { // looking took longer than the rule lives
			return res, err
		}
		if err := a.delete(ctx); err != nil {
			return res, err
		}
	}
	if look {
		err = a.verify(ctx, opt.Verify)
		res.Verified = res.Verified && res.Kept == 0 && !blind // what was proved is neither
	}
	return res, err
}

// An attempt is one Apply under way.
type attempt struct {
	c     *Installer
	q     *Request
	flows Flows
	opt   ApplyOptions
	seen  *newFlows
	res   *model.NotrackResult
	// proved: packets were seen, and reached no entry, while the entries stood.
	proved bool
	// deleted are entries as they were, to be put back; at most maxCopies.
	deleted []model.Event
}

// maxCopies bounds what is kept of deleted entries: some 400 bytes each.
const maxCopies = 20_000

// delete deletes the covered entries and keeps what they were.
func (a *attempt) delete(ctx context.Context) error {
	var copies []model.Event
	d, err := deleteCovered(ctx, a.flows, a.seen.cov, func(e *model.Event) {
		if len(copies) < maxCopies {
			copies = append(copies, *e)
		}
	})
	a.res.Deleted, a.res.Gone = d.Deleted, d.Gone
	gone := map[int]bool{}
	for _, i := range d.GoneAt {
		gone[i] = true
	}
	for _, f := range d.Failed {
		gone[f.Index] = true
	}
	for i := range copies {
		if !gone[i] {
			a.deleted = append(a.deleted, copies[i])
		}
	}
	return err
}

// DeleteCovered deletes the entries of the flows that rules cover, as Apply does.
func DeleteCovered(ctx context.Context, flows Flows, rules []model.Rule) (ctnl.DeleteResult, error) {
	return deleteCovered(ctx, flows, newCoverer(rules), func(*model.Event) {})
}

// deleteCovered shows each entry to saw, in the order in which the result counts them.
func deleteCovered(ctx context.Context, flows Flows, cov *coverer, saw func(*model.Event)) (ctnl.DeleteResult, error) {
	var targets []ctnl.Target
	err := flows.Each(ctx, func(e *model.Event) bool {
		if cov.deletable(&e.Flow) {
			targets = append(targets, ctnl.Target{Key: e.Flow.Key, ID: e.Flow.ID})
			saw(e)
		}
		return true
	})
	if err != nil || len(targets) == 0 {
		return ctnl.DeleteResult{}, err
	}
	return flows.Delete(ctx, targets)
}

// newFlows collects the keys of new flows that the rules cover.
type newFlows struct {
	cov *coverer
	mu  sync.Mutex
	got []ctnl.Target
}

func (n *newFlows) add(e *model.Event) {
	if !n.cov.leaked(&e.Flow) {
		return
	}
	n.mu.Lock()
	n.got = append(n.got, ctnl.Target{Key: e.Flow.Key, ID: e.Flow.ID})
	n.mu.Unlock()
}

// take returns what was collected since the last call.
func (n *newFlows) take() []ctnl.Target {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.got
	n.got = nil
	return t
}

// verify waits for packets, at most for so long, and looks for leaks. Flows made by packets that were past our hook when
// the rule came, or the entries went, are deleted again and do not count.
func (a *attempt) verify(ctx context.Context, long time.Duration) error {
	if err := pause(ctx, settle); err != nil {
		return err
	}
	if late := a.seen.take(); a.opt.Delete && len(late) > 0 {
		if _, err := a.flows.Delete(ctx, late); err != nil {
			return err
		}
	}
	base, err := a.c.find(ctx, a.res.Rule.ID)
	if err != nil {
		return err
	}
	for end := time.Now().Add(long); ; {
		r, err := a.c.find(ctx, a.res.Rule.ID)
		if err != nil {
			return err
		}
		a.res.Rule = r
		a.res.Packets = r.Packets[0] + r.Packets[1]
		fresh := a.seen.take()
		if len(fresh) > 0 || r.Leaked > base.Leaked && a.blame(ctx, &r) {
			return a.takeBack(ctx, leak{fresh: len(fresh), packets: r.Leaked - base.Leaked})
		}
		passed := a.res.Packets - base.Packets[0] - base.Packets[1]
		if passed >= 4 || time.Now().After(end) {
			a.res.Verified = passed > 0
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// A trace is what an entry said when it was read: each packet that reaches it is counted, or at least sets its time-out anew.
type trace struct {
	timeout uint32 // seconds
	packets uint64
	counted bool
	from,
	to time.Time // it was read between these
}

// refreshed is how far apart two readings are that tell by time-outs, which are in whole seconds, whether packets came.
const refreshed = 2100 * time.Millisecond

// reached reports whether packets reached the entry between a and b.
func (a trace) reached(b trace) bool {
	if a.counted && b.counted {
		return b.packets > a.packets
	}
	// If nothing set it, the time-out is less by the time between, but for the fraction of a second that is not told.
	least, most := b.from.Sub(a.to).Seconds(), b.to.Sub(a.from).Seconds()
	return float64(b.timeout) >= float64(a.timeout)+1-least || float64(b.timeout) <= float64(a.timeout)-1-most
}

// traces reads the entries of which no packet should arrive any more, at most maxCopies; none where leak counters tell.
func (a *attempt) traces(ctx context.Context) (map[ctnl.Target]trace, error) {
	if a.res.Rule.HasLeak {
		return nil, nil
	}
	out, from := map[ctnl.Target]trace{}, time.Now()
	err := a.flows.Each(ctx, func(e *model.Event) bool {
		if f := &e.Flow; e.Has&model.HasTimeout != 0 && a.seen.cov.whole(f) {
			both := model.HasCountersOrig | model.HasCountersReply
			out[ctnl.Target{Key: f.Key, ID: f.ID}] = trace{timeout: e.Timeout, packets: f.Packets[0] + f.Packets[1], counted: e.Has&both == both,
				from: from, to: time.Now()}
		}
		return len(out) < maxCopies
	})
	return out, err
}

// first looks, while the entries stand, whether packets get past the rule. A rule that has packets shows within some of them
// whether it holds: by its leak counters, or, where it has none, by entries that packets go on to reach. One that has none
// cannot be told yet.
func (a *attempt) first(ctx context.Context, long time.Duration) error {
	if err := pause(ctx, settle); err != nil {
		return err
	}
	was, err := a.traces(ctx)
	if err != nil {
		return err
	}
	if err := a.verify(ctx, long); err != nil || a.res.TakenBack != "" || len(was) == 0 {
		a.proved = a.res.Verified && a.res.Rule.HasLeak
		return err
	}
	wait := time.Duration(0)
	for _, t := range was {
		if !t.counted {
			wait = max(wait, refreshed-time.Since(t.to))
		}
	}
	if err := pause(ctx, wait); err != nil {
		return err
	}
	now, err := a.traces(ctx)
	if err != nil {
		return err
	}
	n := 0
	for k, t := range now {
		if old, ok := was[k]; ok && old.reached(t) {
			n++
		}
	}
	if n > 0 {
		return a.takeBack(ctx, leak{reached: n})
	}
	a.proved = a.res.Verified
	return nil
}

// fragile counts the entries that are to be deleted where nobody could tell afterwards in time that the rule does not hold:
// without leak counters, a packet that gets past it is seen by the new entry that it makes, and it makes none where it is
// INVALID, or dropped as new in mid-stream. blind says that it makes none, dropped or not.
func (a *attempt) fragile(ctx context.Context) (n int, blind bool, err error) {
	s, err := dryrun.Open(a.c.ns)
	if err != nil {
		return 0, false, err
	}
	defer s.Close()
	if !s.Tracking.Any() {
		return 0, false, nil
	}
	all, probed, cut := 0, 0, false
	err = a.flows.Each(ctx, func(e *model.Event) bool {
		f := &e.Flow
		if !a.seen.cov.deletable(f) {
			return true
		}
		if all++; probed < maxProbes && cutOff(f) {
			probed++
			r := model.RuleFromFlow(f)
			back := s.Back(&r, false)
			cut, blind = cut || back.Cut != dryrun.No, blind || back.As == dryrun.AsStrict
		}
		return true
	})
	if !cut {
		all = 0
	}
	return all, blind, err
}

// tracking reports whether connection tracking is active in the namespace.
func (c *Installer) tracking() bool {
	s, err := dryrun.Open(c.ns)
	if err != nil {
		return false
	}
	defer s.Close()
	return s.Tracking.Any()
}

// blame reports whether a leak is rule r's. Exact rules of one table share their leak counters; with another one beside,
// the leak is r's if there are entries that it covers and that were deleted before.
func (a *attempt) blame(ctx context.Context, r *model.NotrackRule) bool {
	rules, err := a.c.List(ctx)
	if err != nil || !a.opt.Delete || len(a.seen.cov.exact) == 0 {
		return true
	}
	alone := true
	for i := range rules {
		o := &rules[i]
		alone = alone && (o.ID == r.ID || o.Table != r.Table || !slices.ContainsFunc(o.Rules, func(x model.Rule) bool { return x.Exact() }))
	}
	tracked := alone
	if !alone {
		_ = a.flows.Each(ctx, func(e *model.Event) bool {
			tracked = a.seen.cov.covers(&e.Flow)
			return !tracked
		})
	}
	return tracked
}

// takeBack removes a rule that does not work and says why it does not. Entries that were deleted are put back first: while
// the rule stands, most packets do not make new ones.
func (a *attempt) takeBack(ctx context.Context, l leak) error {
	c := a.c
	a.res.Verified = false
	a.res.TakenBack = fmt.Sprintf("its packets are tracked all the same (%s): %s", l, c.cause(a.q))
	if len(a.deleted) > 0 {
		n, err := a.flows.Restore(ctx, a.deleted)
		a.res.Restored = n
		a.res.TakenBack += "; put back as before: " + model.Plural(n, "deleted entry")
		if err != nil || n < len(a.deleted) {
			a.res.TakenBack += fmt.Sprintf("; %d of %s could not be put back", len(a.deleted)-n, model.Plural(len(a.deleted), "entry"))
		}
	}
	c.mu.Lock()
	before := len(c.undo)
	c.mu.Unlock()
	if err := c.Remove(ctx, a.res.Rule.ID); err != nil && !errors.Is(err, ErrNoRule) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.undo = c.undo[:min(len(c.undo), max(before-1, 0))] // neither is the installation a change now, nor this
	return nil
}

// A leak is how it was seen that a rule does not hold.
type leak struct {
	packets uint64 // behind conntrack
	fresh   int    // new entries
	reached int    // old entries that packets go on to reach
}

func (l leak) String() string {
	switch {
	case l.packets > 0 && l.fresh > 0:
		return model.Plural(l.packets, "packet") + " behind conntrack, " + model.Plural(l.fresh, "new entry")
	case l.packets > 0:
		return model.Plural(l.packets, "packet") + " behind conntrack"
	case l.fresh > 0:
		return model.Plural(l.fresh, "new entry")
	}
	return "packets go on to reach " + model.Plural(l.reached, "entry")
}

// cause looks for what defeats the rule.
func (c *Installer) cause(q *Request) string {
	s, err := dryrun.Open(c.ns)
	if err != nil {
		return "no cause found: " + err.Error()
	}
	defer s.Close()
	for i := range q.Rules {
		for _, m := range s.Zone(&q.Rules[i]) {
			return "a rule puts them in a zone, which overrides NOTRACK: " + m.Where
		}
		if i >= maxProbes {
			break
		}
	}
	if where := s.Offload(); where != "" {
		return "a flowtable may bypass the rule: " + where
	}
	if c.be.name() != "nftables" {
		return "another rule gave them an entry before the raw table"
	}
	return "something before priority -310, or another table, gave them an entry"
}

// find reads one rule back.
func (c *Installer) find(ctx context.Context, id string) (model.NotrackRule, error) {
	rules, err := c.List(ctx)
	if err != nil {
		return model.NotrackRule{}, err
	}
	for i := range rules {
		if rules[i].ID == id {
			return rules[i], nil
		}
	}
	return model.NotrackRule{}, fmt.Errorf("notrack: %s has gone while it was being verified: %w", id, ErrNoRule)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
