package notrack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// nft is the nftables backend.
type nft struct {
	ns ruleset.Namespace
	rd *ruleset.Reader
	s  *session // nil until the first rule of the session
}

// A session is the table that belongs to this process, through the netlink socket that made it.
type session struct {
	c     *txn
	table string
	owned bool // NFT_TABLE_F_OWNER was accepted; otherwise rules live from one extension to the next
}

func (n *nft) name() string { return "nftables" }

func (n *nft) close() error {
	defer n.rd.Close()
	if n.s == nil {
		return nil
	}
	s := n.s
	n.s = nil
	var err error
	if !s.owned {
		err = retry("close", func() error {
			rs, err := n.rd.Read()
			if err != nil {
				return err
			}
			for i := range rs.Tables {
				if own, _ := rs.Own(&rs.Tables[i]); own && rs.Tables[i].Name == s.table {
					return deleteTable(target{s.c, s.table, rs, func() {}}, &rs.Tables[i])
				}
			}
			return nil
		})
	}
	return errors.Join(err, s.c.close()) // an owned table goes with the socket
}

// openSession makes the socket and the table of this process's session.
func (n *nft) openSession() error {
	if n.s != nil {
		return nil
	}
	c, err := n.dial()
	if err != nil {
		return err
	}
	s := &session{c: c, table: fmt.Sprint(ruleset.SessionPrefix, os.Getpid()), owned: true}
	err = newTable(c.raw, unix.NFPROTO_INET, s.table, ruleset.TableFOwner)
	for i := 2; errors.Is(err, unix.EPERM) && i < 100 || errors.Is(err, unix.EEXIST); i++ {
		// A second Installer of this process, or the same PID in another PID namespace, has that name.
		s.table = fmt.Sprintf("%s%d.%d", ruleset.SessionPrefix, os.Getpid(), i)
		err = newTable(c.raw, unix.NFPROTO_INET, s.table, ruleset.TableFOwner)
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) { // before 5.12
		s.owned = false
		err = newTable(c.raw, unix.NFPROTO_INET, s.table, 0)
	}
	if err != nil {
		_ = c.close()
		return ruleset.Wrap("make the session's table", err)
	}
	n.s = s
	return nil
}

// A target is the table that a change goes to, the transaction for it, and the ruleset that it was decided on.
type target struct {
	c     *txn
	table string
	rs    *ruleset.Ruleset
	done  func()
}

// commit sends what was collected; it fails with ERESTART where the ruleset is no longer rs.
func (t target) commit() error { return t.c.commit(t.rs.Gen) }

func (n *nft) target(rs *ruleset.Ruleset, table string) (target, error) {
	if n.s != nil && table == n.s.table {
		return target{n.s.c, table, rs, func() {}}, nil
	}
	c, err := n.dial()
	if err != nil {
		return target{}, err
	}
	return target{c, table, rs, func() { _ = c.close() }}, nil
}

// reach returns the target for changing an existing table.
func (n *nft) reach(rs *ruleset.Ruleset, table string) (target, error) {
	if table == ruleset.TableName || n.s != nil && table == n.s.table {
		return n.target(rs, table)
	}
	return target{}, fmt.Errorf("notrack: table inet %s belongs to another ctview (pid %s): %w", table,
		strings.TrimPrefix(table, ruleset.SessionPrefix), ErrNotOurs)
}

// attempts bounds how often a change is tried again after somebody else changed the ruleset in between.
const attempts = 100

// retry calls fn again while the ruleset has changed since fn read it: another ctview, or an element that expired.
func retry(what string, fn func() error) error {
	for range attempts {
		err := fn()
		if errors.Is(err, unix.ERESTART) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOENT) {
			continue
		}
		if errors.Is(err, ErrExists) || errors.Is(err, ErrOverlap) || errors.Is(err, ErrNoRule) || errors.Is(err, ErrNotOurs) {
			return err
		}
		return ruleset.Wrap(what, err)
	}
	return fmt.Errorf("notrack: %s: the ruleset changes faster than it can be read", what)
}

func (n *nft) add(_ context.Context, g *group) error {
	return retry("add", func() error { return n.addOnce(g) })
}

func (n *nft) addOnce(g *group) error {
	table := ruleset.TableName
	if g.Keep == model.KeepSession {
		if err := n.openSession(); err != nil {
			return err
		}
		table = n.s.table
	}
	rs, have, err := n.readInstalled()
	if err != nil {
		return err
	}
	if r := have.find(g.id); r != nil {
		return fmt.Errorf("notrack: rule %s (%s): %w", g.id, r.Text(), ErrExists)
	}
	tgt, err := n.target(rs, table)
	if err != nil {
		return err
	}
	defer tgt.done()
	return n.build(tgt, g, have)
}

// build adds g, and what its table lacks, in one transaction.
func (n *nft) build(tgt target, g *group, have *installed) error {
	l, err := lacking(tgt.rs, have, tgt.table, ruleset.Tracking(tgt.rs, n.ns))
	if err != nil {
		return err
	}
	b := newBuilder(tgt)
	if err := b.skeleton(l); err != nil {
		return err
	}
	if err := b.group(g, have.keys[tgt.table]); err != nil {
		return err
	}
	return tgt.commit()
}

func (n *nft) extend(_ context.Context, id string, life time.Duration) error {
	return retry("extend", func() error { return n.extendOnce(id, life) })
}

// extendOnce adds the elements again with the new time-out, which moves it since Linux 6.12; where it did not, they are
// deleted and added in one transaction, at the price of their counters.
func (n *nft) extendOnce(id string, life time.Duration) error {
	for _, replace := range [...]bool{false, true} {
		rs, have, err := n.readInstalled()
		if err != nil {
			return err
		}
		table, es := have.elements(id)
		if len(es) == 0 {
			return fmt.Errorf("notrack: %s: %w", id, ErrNoRule)
		}
		if replace && extended(es, life) {
			return nil
		}
		tgt, err := n.reach(rs, table)
		if err != nil {
			return err
		}
		err = putElements(tgt, es, life, replace)
		tgt.done()
		if err != nil {
			return err
		}
	}
	return nil
}

// jitter is by how much a time-out read back can differ from what was written: the kernel keeps jiffies.
const jitter = 50 * time.Millisecond

// extended reports whether every element got the life asked for.
func extended(es []elemAt, life time.Duration) bool {
	for _, e := range es {
		if life == 0 && e.Timeout != 0 || life != 0 && ((e.Timeout-life).Abs() > jitter || e.Left < life-5*time.Second) {
			return false
		}
	}
	return len(es) > 0
}

// share installs the rule in the shared table and then takes it out of the session's: in between it is in both.
func (n *nft) share(_ context.Context, r *model.NotrackRule, keep model.Keep, life time.Duration) error {
	g := &group{id: r.ID, rules: r.Rules, life: life, Meta: ruleset.Meta{Who: r.Who, When: r.When.Unix(), Nanos: int64(r.When.Nanosecond()), Keep: keep}}
	err := retry("keep", func() error {
		rs, have, err := n.readInstalled()
		if err != nil {
			return err
		}
		if n.s == nil || have.in(n.s.table, r.ID) == nil {
			return fmt.Errorf("notrack: %s: %w", r.ID, ErrNoRule)
		}
		if have.in(ruleset.TableName, r.ID) != nil {
			return nil
		}
		tgt, err := n.target(rs, ruleset.TableName)
		if err != nil {
			return err
		}
		defer tgt.done()
		return n.build(tgt, g, have)
	})
	if err != nil {
		return err
	}
	return retry("keep", func() error { return n.removeOnce([]string{r.ID}, n.s.table) })
}

func (n *nft) remove(_ context.Context, ids []string) error {
	return retry("remove", func() error { return n.removeOnce(ids, "") })
}

// removeOnce takes rules out of every table that has them, or only out of one.
func (n *nft) removeOnce(ids []string, only string) error {
	rs, have, err := n.readInstalled()
	if err != nil {
		return err
	}
	byTable := map[string][]string{}
	for _, id := range ids {
		if have.find(id) == nil {
			return fmt.Errorf("notrack: %s: %w", id, ErrNoRule)
		}
		for _, r := range have.rules {
			if t := strings.TrimPrefix(r.Table, "inet "); r.ID == id && (only == "" || only == t) {
				byTable[t] = append(byTable[t], id)
			}
		}
	}
	for table, ids := range byTable {
		tgt, err := n.reach(rs, table)
		if err != nil {
			return err
		}
		err = removeFrom(tgt, have, ids)
		tgt.done()
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *nft) list(context.Context) ([]model.NotrackRule, error) {
	_, have, err := n.readInstalled()
	if err != nil {
		return nil, err
	}
	return have.rules, nil
}

func (n *nft) readInstalled() (*ruleset.Ruleset, *installed, error) {
	rs, err := n.rd.Read()
	if err != nil {
		return nil, nil, err
	}
	have, err := n.installed(rs)
	return rs, have, err
}

// OwnTable makes a table of a family (NFPROTO_*) that belongs to a netlink socket of its own in ns and goes with it
// (NFT_TABLE_F_OWNER, Linux 5.12): c.CloseLasting takes it away. It is called by prefix and the process, and a number where
// that name is taken; its chains are the caller's.
func OwnTable(ns ruleset.Namespace, family uint8, prefix string) (c *nftables.Conn, t *nftables.Table, err error) {
	var raw *netlink.Conn
	err = ns.Do(func() (err error) {
		c, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(nl *netlink.Conn) error {
			raw = nl
			return nil
		}))
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	name := fmt.Sprintf("%s%d", prefix, os.Getpid())
	err = ownTable(raw, family, name)
	for i := 2; errors.Is(err, ErrExists) && i < 100; i++ {
		name = fmt.Sprintf("%s%d.%d", prefix, os.Getpid(), i)
		err = ownTable(raw, family, name)
	}
	if err != nil {
		return nil, nil, errors.Join(err, c.CloseLasting())
	}
	return c, &nftables.Table{Name: name, Family: nftables.TableFamily(family)}, nil
}

func ownTable(raw *netlink.Conn, family uint8, name string) error {
	err := newTable(raw, family, name, ruleset.TableFOwner)
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EEXIST):
		return fmt.Errorf("notrack: table %s: %w", name, ErrExists)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("notrack: table %s: this kernel cannot tie a table to a program (Linux 5.12 can): %w", name, err)
	}
	return ruleset.Wrap("make table "+name, err)
}
