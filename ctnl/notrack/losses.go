package notrack

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

const (
	groupNFTables   = 7 // NFNLGRP_NFTABLES
	nftaGenProcPID  = 2 // NFTA_GEN_PROC_PID
	nftaGenProcName = 3 // NFTA_GEN_PROC_NAME
)

// poll is how often the rules are looked at where the kernel tells of no change: legacy iptables.
const poll = 2 * time.Second

// WatchLosses calls fn when rules of ctview's are gone that neither expired nor were removed by this process: somebody
// deleted them, flushed the ruleset or restarted a firewall. The kernel tells who did it, but for legacy iptables. It
// runs until ctx ends. ready, if not nil, is closed when the watch has begun.
func (c *Installer) WatchLosses(ctx context.Context, ready chan<- struct{}, fn func(model.NotrackLoss)) error {
	var nl *netlink.Conn
	err := c.ns.Do(func() (err error) {
		if nl, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
			return err
		}
		return nl.JoinGroup(groupNFTables)
	})
	if err != nil {
		return ruleset.Wrap("watch the ruleset", err)
	}
	defer func() { _ = nl.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = nl.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	w := &lossWatch{c: c, fn: fn}
	if err := w.look(ctx, 0, ""); err != nil {
		return err
	}
	if ready != nil {
		close(ready)
	}
	legacy := c.be.name() == "iptables-legacy"
	for ctx.Err() == nil {
		if legacy {
			_ = nl.SetReadDeadline(time.Now().Add(poll))
		}
		ms, err := nl.Receive()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, unix.ENOBUFS): // look whatever was missed
			if err := w.look(ctx, 0, ""); err != nil {
				return err
			}
			continue
		case err != nil:
			return ruleset.Wrap("watch the ruleset", err)
		}
		for i := range ms {
			if err := w.message(ctx, &ms[i]); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// A lossWatch compares what stands with what stood.
type lossWatch struct {
	c       *Installer
	fn      func(model.NotrackLoss)
	known   []model.NotrackRule
	at      time.Time // when known was read
	touched bool      // something of ours may have been deleted since the last generation
}

// message takes one notification. Changes come first, then NEWGEN with who made them.
func (w *lossWatch) message(ctx context.Context, m *netlink.Message) error {
	if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || len(m.Data) < 4 {
		return nil
	}
	switch int(m.Header.Type & 0xff) {
	case unix.NFT_MSG_DELTABLE, unix.NFT_MSG_DELCHAIN, unix.NFT_MSG_DELRULE, unix.NFT_MSG_DELSET, unix.NFT_MSG_DELSETELEM:
		// The first attribute of each is the table's name.
		name := ruleset.CString(ruleset.Attr(m.Data[4:], 1))
		t := ruleset.Table{Family: m.Data[0], Name: name}
		w.touched = w.touched || t.Named() || name == "raw"
	case unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_NEWRULE, unix.NFT_MSG_NEWSET:
		t := ruleset.Table{Family: m.Data[0], Name: ruleset.CString(ruleset.Attr(m.Data[4:], 1))}
		w.touched = w.touched || t.Named() || t.Name == "raw" // ours or another's: what stands has changed
	case unix.NFT_MSG_NEWGEN:
		if w.touched {
			w.touched = false
			return w.look(ctx, ruleset.U32(ruleset.Attr(m.Data[4:], nftaGenProcPID)), ruleset.CString(ruleset.Attr(m.Data[4:], nftaGenProcName)))
		}
	}
	return nil
}

// look reads the rules again and reports those that went before their time.
func (w *lossWatch) look(ctx context.Context, pid uint32, name string) error {
	rules, err := w.c.List(ctx)
	if err != nil {
		return err
	}
	// Rules of another ctview's session go with it, which is no loss.
	rules = slices.DeleteFunc(rules, func(r model.NotrackRule) bool { return r.Owner != 0 && !r.Mine })
	now := time.Now()
	var lost []model.NotrackRule
	for i := range w.known {
		r := &w.known[i]
		there := slices.ContainsFunc(rules, func(x model.NotrackRule) bool { return x.ID == r.ID && x.Table == r.Table })
		if !there && (!r.Limited || w.at.Add(r.Left).After(now.Add(time.Second))) {
			lost = append(lost, *r)
		}
	}
	w.known, w.at = rules, now
	lost = slices.DeleteFunc(lost, func(r model.NotrackRule) bool { return w.c.took(r.ID) })
	if len(lost) > 0 {
		w.fn(model.NotrackLoss{Rules: lost, PID: pid, Name: name, At: now})
	}
	return nil
}

// took reports whether this Installer removed the rule itself, and forgets it.
func (c *Installer) took(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.taken, id)
	if i >= 0 {
		c.taken = slices.Delete(c.taken, i, i+1)
	}
	return i >= 0
}
