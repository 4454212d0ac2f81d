package lab

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// EnableTracking switches connection tracking on in the namespace as any firewall does: by one rule that looks at the
// state of packets (inet table "lab", hooks prerouting and output). It also switches on accounting, timestamps and
// events, so that flows have all that the kernel can say of them.
func (n *NS) EnableTracking() error {
	err := n.nft(func(c *nftables.Conn) error {
		t := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "lab"})
		for _, hook := range []*nftables.ChainHook{nftables.ChainHookPrerouting, nftables.ChainHookOutput} {
			ch := c.AddChain(&nftables.Chain{
				Name: fmt.Sprintf("track%d", *hook), Table: t, Type: nftables.ChainTypeFilter,
				Hooknum: hook, Priority: nftables.ChainPriorityMangle,
			})
			c.AddRule(&nftables.Rule{Table: t, Chain: ch, Exprs: append(ctState(expr.CtStateBitESTABLISHED), &expr.Counter{})})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return n.trackEverything()
}

// trackEverything writes the settings that decide what a flow carries. They must be set before the flow is made, and
// exist only once something in the kernel uses conntrack.
func (n *NS) trackEverything() error {
	for _, name := range []string{"acct", "timestamp", "events"} {
		if err := n.Sysctl("net/netfilter/nf_conntrack_"+name, "1"); err != nil {
			return err
		}
	}
	return nil
}

// nft runs fn with an nftables connection into the namespace and commits what it added as one transaction.
func (n *NS) nft(fn func(*nftables.Conn) error) error {
	h, err := n.dup()
	if err != nil {
		return err
	}
	defer h.Close()
	c, err := nftables.New(nftables.WithNetNSFd(int(h)), nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("lab: %s: nftables: %w", n.name, err)
	}
	err = fn(c)
	if err == nil {
		err = c.Flush()
	}
	if err = errors.Join(err, c.CloseLasting()); err != nil {
		return fmt.Errorf("lab: %s: nftables: %w", n.name, err)
	}
	return nil
}

// ctState is "ct state BITS".
func ctState(bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}
