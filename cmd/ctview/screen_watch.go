package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/crash"
	"ctview/model/table"
	"ctview/tui"

	"golang.org/x/sync/errgroup"
)

// A watching is one network namespace being watched for the screen: its table, what keeps it true, and what acts on it.
type watching struct {
	ns     *ctnl.Netns
	table  *table.Table
	sync   *ctnl.Syncer
	kernel *kernel
	rules  *screenRules // nil where no backend is there or allowed
	states *screenStates
	budget float64
	stop   context.CancelFunc // nil until started
	ended  chan struct{}
}

// A watchPlan is what every namespace that a session watches has in common.
type watchPlan struct {
	budget   float64
	readOnly bool
	memory   int64 // that flows may take, in bytes
	stay     bool  // the right to enter another namespace will be given up
}

// open subscribes to the events of the namespace that spec means. name is what the title shows, "" for the namespace's own. Nothing runs until
// start; close it either way.
func (p watchPlan) open(spec, name string) (*watching, error) {
	ns, err := ctnl.OpenNetns(spec)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = ns.Title()
	}
	if p.stay {
		if err := ns.Pin(); err != nil {
			_ = ns.Close()
			return nil, err
		}
	}
	w := &watching{ns: ns, table: table.New(), budget: p.budget}
	w.table.LimitTo(p.memory)
	expect := func(now int64, xs []model.Expect) {
		for i := range xs {
			w.table.ApplyExpect(now, &xs[i])
		}
	}
	w.sync, err = ctnl.NewSyncer(ns, w.table, ctnl.SyncOptions{Budget: p.budget, Watch: ctnl.WatchOptions{Expect: expect},
		Dumped: giveBack(w.table)})
	if err != nil {
		_ = ns.Close()
		return nil, noScreenError{err}
	}
	w.kernel = &kernel{ns: ns, sync: w.sync, table: w.table, name: name}
	w.rules = newScreenRules(ns)
	w.states = newScreenStates(ns, w.table, p.readOnly)
	return w, nil
}

// start keeps the table true until close. failed is called with the error that ends it early, if one does.
func (w *watching) start(ctx context.Context, failed func(error)) {
	ctx, w.stop = context.WithCancel(ctx)
	w.ended = make(chan struct{})
	group, both := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer crash.Guard()
		return w.sync.Run(both)
	})
	group.Go(func() error {
		defer crash.Guard()
		return keepOwners(both, w.ns, w.table, w.budget)
	})
	if w.rules != nil {
		group.Go(func() error {
			defer crash.Guard()
			return w.rules.watch(both)
		})
	}
	go func() {
		defer crash.Guard()
		defer close(w.ended)
		if err := group.Wait(); err != nil && ctx.Err() == nil {
			failed(err)
		}
	}()
}

// close ends the watch, takes back what it made in the kernel, and waits until all is done. What cannot be taken back in
// good order goes with its sockets, so there is nothing to tell.
func (w *watching) close() {
	if w.stop != nil {
		w.stop()
		<-w.ended
	}
	_ = w.states.close()
	if w.rules != nil {
		_ = w.rules.conn.Close()
	}
	_ = w.sync.Close()
	_ = w.ns.Close()
}

// shown is what the screen asks.
func (w *watching) shown() tui.Session {
	s := tui.Session{Store: w.table, Kernel: w.kernel, Inspector: w.kernel, States: w.states, Tracer: screenTrace{w.ns}, Netns: w.kernel.name}
	if w.rules != nil { // a nil *screenRules would not be a nil interface
		s.Rules = w.rules
	}
	return s
}

// namespaces are those that the screen can watch, one at a time: what tui.Namespaces asks for.
type namespaces struct {
	plan   watchPlan
	ctx    context.Context // of the whole session
	failed func(error)

	mu     sync.Mutex
	now    *watching
	closed bool
}

// List implements tui.Namespaces.
func (n *namespaces) List(context.Context) ([]tui.Namespace, error) {
	list, err := ctnl.ListNetns()
	if err != nil {
		return nil, err
	}
	now := n.current()
	all := make([]tui.Namespace, len(list))
	for i := range list {
		all[i] = tui.Namespace{Name: list[i].Spec, About: aboutNetns(&list[i]), Current: now.Is(&list[i])}
		if list[i].Initial && len(list[i].Names) == 0 {
			all[i].Title = initialName
		}
	}
	return all, nil
}

// initialName is what the screen calls the initial namespace where it has no name.
const initialName = "default"

// specOf returns what ctnl.OpenNetns takes for a name that List told.
func specOf(name string) string {
	if name != initialName {
		return name
	}
	list, _ := ctnl.ListNetns()
	spec := name
	for i := range list {
		if slices.Contains(list[i].Names, name) {
			return name
		}
		if list[i].Initial {
			spec = list[i].Spec
		}
	}
	return spec
}

// aboutNetns says what is known of a namespace beside its name, unescaped.
func aboutNetns(n *ctnl.NetnsInfo) string {
	var parts []string
	if n.Initial {
		parts = append(parts, "the initial one")
	}
	if n.Own {
		parts = append(parts, "ctview's own")
	}
	if len(n.Names) > 1 {
		parts = append(parts, "also "+strings.Join(n.Names[1:], ", "))
	}
	if n.Container != "" {
		parts = append(parts, n.Container)
	}
	switch {
	case n.Own:
		parts = append(parts, model.Plural(n.Processes, "process"))
	case n.Processes == 1:
		parts = append(parts, fmt.Sprintf("%s (pid %d)", n.Comm, n.PID))
	case n.Processes > 1:
		parts = append(parts, fmt.Sprintf("%s (pid %d) and %d more", n.Comm, n.PID, n.Processes-1))
	default:
		parts = append(parts, "no process")
	}
	return strings.Join(parts, ", ")
}

// An unprefixed error is told without the name of the package that it comes from.
type unprefixed struct{ error }

func (e unprefixed) Error() string { return strings.TrimPrefix(e.error.Error(), "ctnl: ") }
func (e unprefixed) Unwrap() error { return e.error }

// Switch implements tui.Namespaces: the new namespace is opened and watched before the old one is let go, so that a name
// that is wrong changes nothing. NOTRACK rules of the session go with the namespace that they were made in.
func (n *namespaces) Switch(_ context.Context, name string) (tui.Session, error) {
	w, err := n.plan.open(specOf(name), "")
	if err != nil && n.plan.stay && errors.Is(err, ctnl.ErrPermission) {
		err = fmt.Errorf("read-only, ctview has given up the right to enter another namespace: ctview --read-only --netns %s", name)
	}
	if err != nil {
		return tui.Session{}, unprefixed{err}
	}
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		w.close()
		return tui.Session{}, context.Canceled
	}
	old := n.now
	n.now = w
	w.start(n.ctx, n.failed)
	n.mu.Unlock()
	old.close()
	return w.shown(), nil
}

// current is the namespace that is watched now. It may be closed at any time; then every request in it fails.
func (n *namespaces) current() *ctnl.Netns {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now.ns
}

// close ends the watch that is on.
func (n *namespaces) close() {
	n.mu.Lock()
	n.closed = true
	w := n.now
	n.mu.Unlock()
	w.close()
}
