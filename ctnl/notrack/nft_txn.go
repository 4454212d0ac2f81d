package notrack

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ctview/ctnl/notrack/ruleset"
)

// A txn collects changes of the ruleset and sends them as one transaction. google/nftables writes the messages, through
// the one seam that it has for looking at them; it can neither say of which generation of the ruleset a change was
// thought, nor set flags of tables, so ctview sends them itself. Ownership of a table is by socket, which is raw.
type txn struct {
	*nftables.Conn
	raw   *netlink.Conn
	msgs  []netlink.Message
	after []netlink.Message // of ctview's own, to follow those of the library
	sent  int               // transactions
}

func (n *nft) dial() (*txn, error) {
	t := &txn{}
	err := n.ns.Do(func() (err error) {
		t.raw, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err != nil {
		return nil, ruleset.Wrap("open nftables", err)
	}
	// A thousand elements are 150 kB in one send. Best effort.
	_ = t.raw.SetWriteBuffer(16 << 20)
	t.Conn, err = nftables.New(nftables.WithTestDial(func(ms []netlink.Message) ([]netlink.Message, error) {
		t.msgs = append(t.msgs, ms...)
		return nil, io.EOF // no answer yet
	}))
	return t, err
}

func (t *txn) close() error { return t.raw.Close() }

// commit sends what was collected, if anything. The kernel refuses it (ERESTART) where the ruleset is no longer that of
// generation gen: what somebody else has made or removed since it was read stays as it is.
func (t *txn) commit(gen uint32) error {
	t.msgs = nil
	if err := t.Flush(); err != nil || len(t.msgs) == 0 {
		return err
	}
	t.sent++
	ms := append(t.msgs[1:len(t.msgs)-1], t.after...)
	t.after = nil
	for i := range ms {
		if ms[i].Header.Type == ruleset.MsgType(unix.NFT_MSG_DELTABLE) {
			ms[i].Header.Flags |= nlmFNonrec
		}
	}
	return send(t.raw, &gen, ms...)
}

// nlmFNonrec is NLM_F_NONREC: a table is deleted only if nothing is in it.
const nlmFNonrec = 0x100

// nfnlBatchGenID is NFNL_BATCH_GENID.
const nfnlBatchGenID = 1

// send sends messages as one transaction, of generation gen if not nil, and waits for the answer.
func send(raw *netlink.Conn, gen *uint32, ms ...netlink.Message) error {
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
	all := []netlink.Message{begin}
	for i, m := range ms {
		// Errors are told without being asked for; one acknowledgement, of the last, tells that there was none.
		flags := m.Header.Flags &^ netlink.Acknowledge
		if i == len(ms)-1 {
			flags |= netlink.Acknowledge
		}
		all = append(all, netlink.Message{Header: netlink.Header{Type: m.Header.Type, Flags: flags}, Data: m.Data})
	}
	if _, err := raw.SendMessages(append(all, edge(unix.NFNL_MSG_BATCH_END))); err != nil {
		return err
	}
	defer func() { _ = raw.SetReadDeadline(time.Time{}) }()
	_ = raw.SetReadDeadline(time.Now().Add(ruleset.RequestTimeout))
	_, err := raw.Receive()
	for more := err; more != nil && !errors.Is(more, os.ErrDeadlineExceeded); {
		// A transaction that failed has an answer for each message that did.
		_ = raw.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, more = raw.Receive()
		if more == nil {
			more = err
		}
	}
	return err
}

func beBytes(v uint32) []byte { return []byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)} }

// newTable makes a table with flags, in a transaction of its own.
func newTable(raw *netlink.Conn, family uint8, name string, flags uint32) error {
	body, err := netlink.MarshalAttributes([]netlink.Attribute{ruleset.StringAttr(unix.NFTA_TABLE_NAME, name),
		{Type: unix.NFTA_TABLE_FLAGS, Data: beBytes(flags)}})
	if err != nil {
		return err
	}
	return send(raw, nil, netlink.Message{Header: netlink.Header{Type: ruleset.MsgType(unix.NFT_MSG_NEWTABLE),
		Flags: netlink.Request | netlink.Create | netlink.Excl}, Data: append(ruleset.NFGen(family, 0), body...)})
}
