package notrack

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// setOf describes an existing set of ours to google/nftables.
func setOf(table string, n ruleset.SetName) *nftables.Set {
	t := &nftables.Table{Name: table, Family: nftables.TableFamilyINet}
	s := &nftables.Set{Table: t, Name: n.Name, HasTimeout: true, KeyByteOrder: binaryutil.BigEndian}
	switch n.Name {
	case "flows4":
		s.KeyType = flows4Type
	case "flows6":
		s.KeyType = flows6Type
	default:
		s.KeyType = nftables.TypeNFProto
	}
	return s
}

// putElements adds elements again with another life; with replace they are deleted first, in the same transaction.
func putElements(tgt target, es []elemAt, life time.Duration, replace bool) error {
	bySet := map[ruleset.SetName][]nftables.SetElement{}
	for _, e := range es {
		bySet[e.set] = append(bySet[e.set], nftables.SetElement{Key: e.Key, Timeout: life, Comment: e.Comment})
	}
	for name, vals := range bySet {
		set := setOf(tgt.table, name)
		for part := range slices.Chunk(vals, chunk) {
			if replace {
				if err := tgt.c.SetDeleteElements(set, part); err != nil {
					return err
				}
			}
			if err := tgt.c.SetAddElements(set, part); err != nil {
				return err
			}
		}
	}
	return tgt.c.Flush()
}

// removeFrom takes rules out of one table, in one transaction. The table stays: another ctview may be adding to it at
// this moment. sweep removes empty ones.
func removeFrom(tgt target, rs *ruleset.Ruleset, have *installed, ids []string) error {
	bySet := map[ruleset.SetName][]nftables.SetElement{}
	for _, id := range ids {
		for _, e := range have.elems[id] {
			if !strings.HasPrefix(e.set.Name, "live_") {
				bySet[e.set] = append(bySet[e.set], nftables.SetElement{Key: e.Key})
			}
		}
	}
	for name, vals := range bySet {
		for part := range slices.Chunk(vals, chunk) {
			if err := tgt.c.SetDeleteElements(setOf(tgt.table, name), part); err != nil {
				return err
			}
		}
	}
	if err := removeWide(tgt, rs, ids); err != nil {
		return err
	}
	return tgt.c.Flush()
}

// removeWide deletes the rules of ids and then their latches.
func removeWide(tgt target, rs *ruleset.Ruleset, ids []string) error {
	t := &nftables.Table{Name: tgt.table, Family: nftables.TableFamilyINet}
	for i := range rs.Chains {
		c := &rs.Chains[i]
		if c.Family != byte(t.Family) || c.Table != tgt.table {
			continue
		}
		for j := range c.Rules {
			if tg, ok := ruleset.ParseTag(c.Rules[j].Comment); ok && slices.Contains(ids, tg.ID) {
				err := tgt.c.DelRule(&nftables.Rule{Table: t, Chain: &nftables.Chain{Name: c.Name, Table: t}, Handle: c.Rules[j].Handle})
				if err != nil {
					return err
				}
			}
		}
	}
	for _, id := range ids {
		n := ruleset.SetName{Family: byte(t.Family), Table: tgt.table, Name: latchName(id)}
		if _, ok := rs.Sets[n]; ok {
			tgt.c.DelSet(setOf(tgt.table, n))
		}
	}
	return nil
}

// sweep removes what expired rules leave behind: wide rules without a live latch, tables without a rule, tables of
// sessions whose process is gone (only where the kernel has no table owners), and leak counters that alone keep
// connection tracking switched on. It never touches a table that another living ctview owns.
func (n *nft) sweep(context.Context) error {
	rs, have, err := n.readInstalled()
	if err != nil {
		return err
	}
	trackedByOthers := ruleset.Tracking(rs, n.ns)
	for i := range rs.Tables {
		t := &rs.Tables[i]
		if !ruleset.Ours(t) || t.Flags&ruleset.TableFOwner != 0 && (n.s == nil || n.s.table != t.Name) {
			continue
		}
		if err := n.sweepTable(rs, have, t, trackedByOthers); err != nil {
			return err
		}
	}
	return nil
}

func (n *nft) sweepTable(rs *ruleset.Ruleset, have *installed, t *ruleset.Table, tracked bool) error {
	live := slices.ContainsFunc(have.rules, func(r model.NotrackRule) bool { return r.Table == "inet "+t.Name })
	session := t.Name != ruleset.TableName
	if session && (n.s == nil || n.s.table != t.Name) && live {
		return nil
	}
	if !ctviewSkeleton(rs, t) && !session {
		return nil // somebody else's table of that name
	}
	tgt := target{table: t.Name, done: func() {}}
	if !live && (n.s == nil || n.s.table != t.Name) {
		return ruleset.Wrap("sweep", n.deleteTable(t.Name, rs.Gen))
	}
	if n.s != nil && n.s.table == t.Name {
		tgt.c = n.s.c
	} else {
		c, _, err := n.dial()
		if err != nil {
			return err
		}
		tgt.c = c
		defer func() { _ = c.CloseLasting() }()
	}
	nt := &nftables.Table{Name: t.Name, Family: nftables.TableFamilyINet}
	var dead []string
	for name := range rs.Sets {
		id, ok := strings.CutPrefix(name.Name, "live_")
		if ok && name.Table == t.Name && name.Family == t.Family && len(have.elems[id]) == 0 {
			dead = append(dead, id)
		}
	}
	if err := removeWide(tgt, rs, dead); err != nil {
		return err
	}
	if !tracked {
		for i := range rs.Chains {
			c := &rs.Chains[i]
			if c.Family == t.Family && c.Table == t.Name && strings.HasSuffix(c.Name, "_verify") {
				ch := &nftables.Chain{Name: c.Name, Table: nt}
				tgt.c.FlushChain(ch)
				tgt.c.DelChain(ch)
			}
		}
	}
	return ruleset.Wrap("sweep", tgt.c.Flush())
}

// deleteTable deletes a table if the ruleset is still that of generation gen: a rule that another ctview has added since
// stays. The library cannot say the generation.
func (n *nft) deleteTable(name string, gen uint32) error {
	c, raw, err := n.dial()
	if err != nil {
		return err
	}
	defer func() { _ = c.CloseLasting() }()
	err = batch(raw, unix.NFT_MSG_DELTABLE, 0, &gen, ruleset.StringAttr(unix.NFTA_TABLE_NAME, name))
	if errors.Is(err, unix.ERESTART) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// ctviewSkeleton reports whether a table has the mark of ours.
func ctviewSkeleton(rs *ruleset.Ruleset, t *ruleset.Table) bool {
	for i := range rs.Chains {
		c := &rs.Chains[i]
		if c.Family == t.Family && c.Table == t.Name && c.Name == "pre" && len(c.Rules) > 0 && c.Rules[0].Comment == ruleset.Version {
			return true
		}
	}
	return false
}
