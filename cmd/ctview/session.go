package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"ctview/cmd/ctview/operator"
	"ctview/ctnl"
	"ctview/ctnl/confine"
	"ctview/model"
)

// ownSession returns what is known now of the connections that the operator works over.
func ownSession() (op model.Operator) {
	_ = confine.With(confine.Processes, func() error {
		op = operator.Find(operator.Proc{}, os.Getpid())
		return nil
	})
	return op
}

// keyOf is the key of a flow without a zone whose original tuple is t.
func keyOf(t *model.Tuple) model.Key {
	return model.Key{Src: t.Src, Dst: t.Dst, Sport: t.Sport, Dport: t.Dport, Proto: t.Proto, Family: t.Family}
}

// whose says whether flows are of the operator's own session.
type whose int

const (
	nobodys whose = iota
	notKnown
	mine
)

// without is what is said of flows of which none is a known session of op.
func without(op model.Operator) whose {
	if op.Unknown {
		return notKnown
	}
	return nobodys
}

// ownOf looks through n flows for the operator's own session.
func ownOf(n int, flow func(i int) *model.Flow) whose {
	op := ownSession()
	for i := range n {
		if op.Has(flow(i)) {
			return mine
		}
	}
	return without(op)
}

// warn tells it before a question; a script that asks nothing is told what is known only.
func (w whose) warn(g *globals, c change) {
	switch {
	case w == mine:
		g.warnOwnSession()
	case w == notKnown && !c.yes:
		fmt.Fprintln(g.err, "ctview: whether your own ssh session is among them is not known")
	}
}

// tracked reports whether one of the operator's own connections has an entry.
func (g *globals) tracked(ctx context.Context, k *ctnl.Kernel, fam model.Family) bool {
	return slices.ContainsFunc(ownSession().Sessions, func(t model.Tuple) bool {
		_, err := k.Get(ctx, keyOf(&t))
		return err == nil && (fam == 0 || fam == t.Family)
	})
}
