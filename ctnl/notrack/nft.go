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
	c     *nftables.Conn
	raw   *netlink.Conn
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
	if !s.owned {
		s.c.DelTable(&nftables.Table{Name: s.table, Family: nftables.TableFamilyINet})
		_ = s.c.Flush()
	}
	return s.c.CloseLasting() // an owned table goes with the socket
}

// dial opens a socket of google/nftables and returns the netlink socket below it too: that one can set table flags,
// which the library (v0.3.0) always writes as 0. Ownership of a table is by socket.
func (n *nft) dial() (c *nftables.Conn, raw *netlink.Conn, err error) {
	err = n.ns.Do(func() (err error) {
		c, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(nl *netlink.Conn) error {
			raw = nl
			return nil
		}))
		return err
	})
	if err != nil {
		return nil, nil, ruleset.Wrap("open nftables", err)
	}
	// A thousand elements are 150 kB in one send, and every message of a batch is acknowledged. Best effort.
	_ = raw.SetWriteBuffer(16 << 20)
	_ = raw.SetReadBuffer(4 << 20)
	return c, raw, nil
}

// openSession makes the socket and the table of this process's session.
func (n *nft) openSession() error {
	if n.s != nil {
		return nil
	}
	c, raw, err := n.dial()
	if err != nil {
		return err
	}
	s := &session{c: c, raw: raw, table: fmt.Sprint(ruleset.SessionPrefix, os.Getpid()), owned: true}
	err = newTable(raw, s.table, ruleset.TableFOwner)
	for i := 2; errors.Is(err, unix.EPERM) && i < 100 || errors.Is(err, unix.EEXIST); i++ {
		// A second Installer of this process, or the same PID in another PID namespace, has that name.
		s.table = fmt.Sprintf("%s%d.%d", ruleset.SessionPrefix, os.Getpid(), i)
		err = newTable(raw, s.table, ruleset.TableFOwner)
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) { // before 5.12
		s.owned = false
		err = newTable(raw, s.table, 0)
	}
	if err != nil {
		_ = c.CloseLasting()
		return ruleset.Wrap("make the session's table", err)
	}
	n.s = s
	return nil
}

// newTable sends NFT_MSG_NEWTABLE with flags in a batch of its own.
func newTable(raw *netlink.Conn, name string, flags uint32) error {
	return batch(raw, unix.NFT_MSG_NEWTABLE, netlink.Create|netlink.Excl, nil, ruleset.StringAttr(unix.NFTA_TABLE_NAME, name),
		netlink.Attribute{Type: unix.NFTA_TABLE_FLAGS, Data: beBytes(flags)})
}

// nfnlBatchGenID is NFNL_BATCH_GENID: the kernel refuses the batch (ERESTART) where the ruleset has another generation.
const nfnlBatchGenID = 1

// batch sends one message about a table of family inet as a transaction of its own, and waits for the answer.
func batch(raw *netlink.Conn, msg int, flags netlink.HeaderFlags, gen *uint32, attrs ...netlink.Attribute) error {
	body, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		return err
	}
	edge := func(typ int) netlink.Message {
		return netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(typ), Flags: netlink.Request},
			Data: ruleset.NFGen(0, unix.NFNL_SUBSYS_NFTABLES)}
	}
	begin := edge(unix.NFNL_MSG_BATCH_BEGIN)
	if gen != nil {
		b, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: nfnlBatchGenID, Data: beBytes(*gen)}})
		if err != nil {
			return err
		}
		begin.Data = append(begin.Data, b...)
	}
	_, err = raw.SendMessages([]netlink.Message{begin, {
		Header: netlink.Header{Type: ruleset.MsgType(msg), Flags: netlink.Request | netlink.Acknowledge | flags},
		Data:   append(ruleset.NFGen(unix.NFPROTO_INET, 0), body...)}, edge(unix.NFNL_MSG_BATCH_END)})
	if err != nil {
		return err
	}
	_ = raw.SetReadDeadline(time.Now().Add(ruleset.RequestTimeout))
	defer func() { _ = raw.SetReadDeadline(time.Time{}) }()
	_, err = raw.Receive()
	return err
}

func beBytes(v uint32) []byte { return []byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)} }

// A target is the table that a change goes to and the socket to reach it by.
type target struct {
	c     *nftables.Conn
	table string
	done  func()
}

func (n *nft) target(session bool) (target, error) {
	if session {
		if err := n.openSession(); err != nil {
			return target{}, err
		}
		return target{n.s.c, n.s.table, func() {}}, nil
	}
	c, _, err := n.dial()
	if err != nil {
		return target{}, err
	}
	return target{c, ruleset.TableName, func() { _ = c.CloseLasting() }}, nil
}

// reach returns the target for changing an existing table.
func (n *nft) reach(table string) (target, error) {
	switch {
	case n.s != nil && table == n.s.table:
		return n.target(true)
	case table == ruleset.TableName:
		return n.target(false)
	}
	return target{}, fmt.Errorf("notrack: table inet %s belongs to another ctview (pid %s): %w", table,
		strings.TrimPrefix(table, ruleset.SessionPrefix), ErrNotOurs)
}

// attempts bounds how often a change is tried again after somebody else changed the same table in between.
const attempts = 30

func (n *nft) add(ctx context.Context, g *group) error {
	for range attempts {
		err := n.addOnce(g)
		if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOENT) {
			continue // the skeleton came or went while we were looking
		}
		return err
	}
	return fmt.Errorf("notrack: add: the table changes faster than it can be read")
}

func (n *nft) addOnce(g *group) error {
	rs, err := n.rd.Read()
	if err != nil {
		return err
	}
	have, err := n.installed(rs)
	if err != nil {
		return err
	}
	if r := have.find(g.id); r != nil {
		return fmt.Errorf("notrack: rule %s (%s): %w", g.id, r.Text(), ErrExists)
	}
	tgt, err := n.target(g.Keep == model.KeepSession)
	if err != nil {
		return err
	}
	defer tgt.done()
	b := newBuilder(tgt, rs)
	if err := b.skeleton(ruleset.Tracking(rs, n.ns)); err != nil {
		return err
	}
	if err := b.group(g, have.keys[tgt.table]); err != nil {
		return err
	}
	return ruleset.Wrap("add", b.flush())
}

func (n *nft) extend(_ context.Context, id string, life time.Duration) error {
	for range attempts {
		err := n.extendOnce(id, life)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		return err
	}
	return fmt.Errorf("notrack: rule %s expired: %w", id, ErrNoRule)
}

// extendOnce adds the elements again with the new time-out, which moves it since Linux 6.12; where it did not, they are
// deleted and added in one transaction, at the price of their counters.
func (n *nft) extendOnce(id string, life time.Duration) error {
	_, have, err := n.readInstalled()
	if err != nil {
		return err
	}
	table, es := have.elements(id)
	if len(es) == 0 {
		return fmt.Errorf("notrack: %s: %w", id, ErrNoRule)
	}
	tgt, err := n.reach(table)
	if err != nil {
		return err
	}
	defer tgt.done()
	if err := putElements(tgt, es, life, false); err != nil {
		return ruleset.Wrap("extend", err)
	}
	if _, have, err = n.readInstalled(); err != nil {
		return err
	}
	if _, now := have.elements(id); extended(now, life) {
		return nil
	}
	return ruleset.Wrap("extend", putElements(tgt, es, life, true))
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
	for range attempts {
		err := n.shareOnce(r, keep, life)
		if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOENT) {
			continue
		}
		return err
	}
	return fmt.Errorf("notrack: keep %s: the table changes faster than it can be read", r.ID)
}

func (n *nft) shareOnce(r *model.NotrackRule, keep model.Keep, life time.Duration) error {
	rs, have, err := n.readInstalled()
	if err != nil {
		return err
	}
	tgt, err := n.target(false)
	if err != nil {
		return err
	}
	defer tgt.done()
	b := newBuilder(tgt, rs)
	if err := b.skeleton(ruleset.Tracking(rs, n.ns)); err != nil {
		return err
	}
	g := &group{id: r.ID, rules: r.Rules, life: life, Meta: ruleset.Meta{Who: r.Who, When: r.When.Unix(), Keep: keep}}
	if err := b.group(g, have.keys[tgt.table]); err != nil {
		return err
	}
	if err := b.flush(); err != nil {
		return ruleset.Wrap("keep", err)
	}
	own, err := n.target(true)
	if err != nil {
		return err
	}
	return ruleset.Wrap("keep", removeFrom(own, rs, have, []string{r.ID}))
}

func (n *nft) remove(_ context.Context, ids []string) error {
	for range attempts {
		err := n.removeOnce(ids)
		if errors.Is(err, unix.ENOENT) {
			continue // something expired or was removed meanwhile: look again
		}
		return err
	}
	return fmt.Errorf("notrack: remove: the table changes faster than it can be read")
}

func (n *nft) removeOnce(ids []string) error {
	rs, have, err := n.readInstalled()
	if err != nil {
		return err
	}
	byTable := map[string][]string{}
	for _, id := range ids {
		r := have.find(id)
		if r == nil {
			return fmt.Errorf("notrack: %s: %w", id, ErrNoRule)
		}
		t := strings.TrimPrefix(r.Table, "inet ")
		byTable[t] = append(byTable[t], id)
	}
	for table, ids := range byTable {
		tgt, err := n.reach(table)
		if err != nil {
			return err
		}
		err = removeFrom(tgt, rs, have, ids)
		tgt.done()
		if err != nil {
			return ruleset.Wrap("remove", err)
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

// OwnTable makes a table of family inet that belongs to the netlink socket raw and goes with it (NFT_TABLE_F_OWNER,
// Linux 5.12).
func OwnTable(raw *netlink.Conn, name string) error {
	err := newTable(raw, name, ruleset.TableFOwner)
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EEXIST):
		return fmt.Errorf("notrack: table %s: %w", name, ErrExists)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("notrack: table %s: this kernel cannot tie a table to a program (Linux 5.12 can): %w", name, err)
	}
	return ruleset.Wrap("make table "+name, err)
}
