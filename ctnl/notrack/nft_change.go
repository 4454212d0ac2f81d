package notrack

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ctview/ctnl/notrack/ruleset"
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

// elements is the message that adds elements to a set with another life and what they have counted, which google/nftables cannot
// say.
func elements(name ruleset.SetName, es []elemAt, life time.Duration) (netlink.Message, error) {
	list := netlink.NewAttributeEncoder()
	list.ByteOrder = binary.BigEndian
	for _, e := range es {
		list.Nested(unix.NFTA_LIST_ELEM, func(a *netlink.AttributeEncoder) error {
			a.Nested(unix.NFTA_SET_ELEM_KEY, func(k *netlink.AttributeEncoder) error {
				k.Bytes(unix.NFTA_DATA_VALUE, e.Key)
				return nil
			})
			if life > 0 {
				a.Uint64(unix.NFTA_SET_ELEM_TIMEOUT, uint64(life.Milliseconds()))
			}
			if e.Comment != "" {
				a.Bytes(unix.NFTA_SET_ELEM_USERDATA, userdata.AppendString(nil, userdata.NFTNL_UDATA_SET_ELEM_COMMENT, e.Comment))
			}
			if e.Packets == 0 {
				return nil
			}
			a.Nested(unix.NFTA_SET_ELEM_EXPR, func(x *netlink.AttributeEncoder) error {
				x.String(unix.NFTA_EXPR_NAME, "counter")
				x.Nested(unix.NFTA_EXPR_DATA, func(c *netlink.AttributeEncoder) error {
					c.Uint64(unix.NFTA_COUNTER_BYTES, e.Bytes)
					c.Uint64(unix.NFTA_COUNTER_PACKETS, e.Packets)
					return nil
				})
				return nil
			})
			return nil
		})
	}
	all := netlink.NewAttributeEncoder()
	all.String(unix.NFTA_SET_ELEM_LIST_TABLE, name.Table)
	all.String(unix.NFTA_SET_ELEM_LIST_SET, name.Name)
	body, err := list.Encode()
	if err == nil {
		all.Bytes(unix.NFTA_SET_ELEM_LIST_ELEMENTS|unix.NLA_F_NESTED, body)
		body, err = all.Encode()
	}
	return netlink.Message{Header: netlink.Header{Type: ruleset.MsgType(unix.NFT_MSG_NEWSETELEM), Flags: netlink.Request | netlink.Create},
		Data: append(ruleset.NFGen(name.Family, 0), body...)}, err
}

// putElements adds elements again with another life; with replace they are deleted first, in the same transaction, and count on
// from where they were read: Linux before 6.12 changes no life.
func putElements(tgt target, es []elemAt, life time.Duration, replace bool) error {
	bySet := map[ruleset.SetName][]elemAt{}
	for _, e := range es {
		bySet[e.set] = append(bySet[e.set], e)
	}
	for name, vals := range bySet {
		set := setOf(tgt.table, name)
		for part := range slices.Chunk(vals, chunk) {
			of := make([]nftables.SetElement, len(part))
			for i, e := range part {
				of[i] = nftables.SetElement{Key: e.Key, Timeout: life, Comment: e.Comment}
			}
			if !replace {
				if err := tgt.c.SetAddElements(set, of); err != nil {
					return err
				}
				continue
			}
			m, err := elements(name, part, life)
			if err == nil {
				err = tgt.c.SetDeleteElements(set, of)
			}
			if err != nil {
				return err
			}
			tgt.c.after = append(tgt.c.after, m)
		}
	}
	return tgt.commit()
}

// removeFrom takes rules out of one table, in one transaction. The table stays: another ctview may be adding to it at
// this moment. sweep removes empty ones.
func removeFrom(tgt target, have *installed, ids []string) error {
	bySet := map[ruleset.SetName][]nftables.SetElement{}
	for _, id := range ids {
		for _, e := range have.elems[id] {
			if e.set.Table == tgt.table && !strings.HasPrefix(e.set.Name, ruleset.LatchPrefix) {
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
	if err := removeWide(tgt, ids); err != nil {
		return err
	}
	return tgt.commit()
}

// removeWide deletes the rules of ids and then their latches.
func removeWide(tgt target, ids []string) error {
	rs := tgt.rs
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
// connection tracking switched on. It never touches what ctview did not make, nor a table that another living ctview owns.
func (n *nft) sweep(context.Context) error {
	done := map[string]bool{}
	return retry("sweep", func() error {
		rs, have, err := n.readInstalled()
		if err != nil {
			return err
		}
		tracked := ruleset.Tracking(rs, n.ns)
		for i := range rs.Tables {
			t := &rs.Tables[i]
			own, _ := rs.Own(t)
			mine := n.s != nil && n.s.table == t.Name
			if done[t.Name] || !own || !mine && t.Flags&ruleset.TableFOwner != 0 {
				continue
			}
			tgt, err := n.target(rs, t.Name)
			if err != nil {
				return err
			}
			sent := tgt.c.sent
			if mine && !have.live(t.Name) {
				if err := deleteTable(tgt, t); err != nil {
					return err
				}
				n.s = nil // the next rule of the session makes another
				return errors.Join(tgt.c.close(), unix.ERESTART)
			}
			err = sweepTable(tgt, have, t, sweeping{tracked: tracked.All(), mine: mine})
			tgt.done()
			if err != nil {
				return err
			}
			if done[t.Name] = true; tgt.c.sent > sent {
				return unix.ERESTART // the next table is decided on what stands now
			}
		}
		return nil
	})
}

// sweeping says under what conditions a table is swept.
type sweeping struct {
	tracked bool // others make the namespace track connections of both families
	mine    bool // the table is this session's
}

// sweepTable sends nothing where nothing is left over.
func sweepTable(tgt target, have *installed, t *ruleset.Table, as sweeping) error {
	live := have.live(t.Name)
	if t.Name != ruleset.TableName && !as.mine && live {
		return nil // of a session that a kernel without owners does not tie to its program
	}
	if _, foreign := tgt.rs.Own(t); !live && !as.mine && foreign == "" && have.foreign[t.Name] == "" {
		return deleteTable(tgt, t)
	}
	var dead []string
	for name, s := range tgt.rs.Sets {
		id, ok := strings.CutPrefix(name.Name, ruleset.LatchPrefix)
		if ok && name.Table == t.Name && name.Family == t.Family && have.in(t.Name, id) == nil && s.Own() {
			dead = append(dead, id)
		}
	}
	if err := removeWide(tgt, dead); err != nil {
		return err
	}
	if !as.tracked {
		dropChains(tgt, t, func(c *ruleset.Chain) bool { return strings.HasSuffix(c.Name, "_verify") })
	}
	return tgt.commit()
}

// dropChains deletes the chains of a table that ctview made and that which names.
func dropChains(tgt target, t *ruleset.Table, which func(*ruleset.Chain) bool) {
	for i := range tgt.rs.Chains {
		c := &tgt.rs.Chains[i]
		if c.Family == t.Family && c.Table == t.Name && which(c) && tgt.rs.OwnChain(c) {
			ch := &nftables.Chain{Name: c.Name, Table: &nftables.Table{Name: t.Name, Family: nftables.TableFamilyINet}}
			tgt.c.FlushChain(ch)
			tgt.c.DelChain(ch)
		}
	}
}

// deleteTable deletes what ctview made in a table of its own, and the table if nothing is left in it. Named objects are not
// read, so the kernel is the one to say so (NLM_F_NONREC).
func deleteTable(tgt target, t *ruleset.Table) (err error) {
	for _, whole := range [...]bool{true, false} {
		dropChains(tgt, t, func(*ruleset.Chain) bool { return true })
		for name := range tgt.rs.Sets {
			if name.Family == t.Family && name.Table == t.Name {
				tgt.c.DelSet(setOf(t.Name, name))
			}
		}
		if whole {
			tgt.c.DelTable(&nftables.Table{Name: t.Name, Family: nftables.TableFamilyINet})
		}
		if err = tgt.commit(); !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return err
}
