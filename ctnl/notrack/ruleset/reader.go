package ruleset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ctview/ctnl"
)

// RequestTimeout bounds one request to the kernel.
const RequestTimeout = 10 * time.Second

// A Reader is a netlink socket for reading the nftables ruleset. The ruleset is decoded here and not by google/nftables,
// which leaves out expressions that it does not know and fails on sets of unknown types: an analysis that decides
// whether traffic is dropped must see both.
type Reader struct{ nl *netlink.Conn }

// Dial opens a Reader in a namespace; the caller closes it. Errors wrap ctnl.ErrPermission.
func Dial(ns Namespace) (*Reader, error) {
	var c *netlink.Conn
	err := ns.Do(func() (err error) {
		c, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err != nil {
		return nil, Wrap("open netlink", err)
	}
	return &Reader{c}, nil
}

// Close gives the socket back.
func (c *Reader) Close() { _ = c.nl.Close() }

// MsgType returns the netlink type of an NFT_MSG_*.
func MsgType(msg int) netlink.HeaderType {
	return netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | msg)
}

// NFGen returns the nfgenmsg that every nfnetlink message begins with.
func NFGen(family uint8, res uint16) []byte {
	return []byte{family, unix.NFNETLINK_V0, byte(res >> 8), byte(res)}
}

// request sends one message and returns the answers, with their nfgenmsg. A broken one is ctnl.ErrMalformed.
func (c *Reader) request(msg int, flags netlink.HeaderFlags, family uint8, attrs ...netlink.Attribute) ([]netlink.Message, error) {
	b, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		return nil, err
	}
	_ = c.nl.SetDeadline(time.Now().Add(RequestTimeout))
	ms, err := c.nl.Execute(netlink.Message{
		Header: netlink.Header{Type: MsgType(msg), Flags: netlink.Request | flags},
		Data:   append(NFGen(family, 0), b...)})
	if err != nil {
		return nil, err
	}
	out := ms[:0]
	for _, m := range ms {
		if len(m.Data) >= 4 && m.Header.Type>>8 == unix.NFNL_SUBSYS_NFTABLES {
			if err := shapes[uint8(m.Header.Type)].whole(m.Data[4:]); err != nil {
				return nil, err
			}
			out = append(out, m)
		}
	}
	return out, nil
}

// Dump returns the answers to a dump request (NFT_MSG_GET*), each beginning with its nfgenmsg of 4 bytes.
func (c *Reader) Dump(msg int, attrs ...netlink.Attribute) ([]netlink.Message, error) {
	return c.request(msg, netlink.Dump, unix.NFPROTO_UNSPEC, attrs...)
}

// Generation returns the number of the ruleset. It is also the probe for nf_tables: the request creates nothing.
func (c *Reader) Generation() (uint32, error) {
	ms, err := c.request(unix.NFT_MSG_GETGEN, 0, unix.NFPROTO_UNSPEC)
	if err != nil {
		return 0, err
	}
	for _, m := range ms {
		var id uint32
		eachAttr(m.Data[4:], func(typ uint16, v []byte) {
			if typ == unix.NFTA_GEN_ID && len(v) == 4 {
				id = binary.BigEndian.Uint32(v)
			}
		})
		return id, nil
	}
	return 0, errors.New("no answer to NFT_MSG_GETGEN")
}

// eachAttr is ctnl.EachAttr on what request has found whole.
func eachAttr(b []byte, fn func(typ uint16, v []byte)) { _ = ctnl.EachAttr(b, fn) }

// Attr returns the first attribute of a type, nil if there is none.
func Attr(b []byte, want uint16) (v []byte) {
	eachAttr(b, func(typ uint16, x []byte) {
		if typ == want && v == nil {
			v = x
		}
	})
	return v
}

// U32 reads a big-endian number; 0 where b is too short.
func U32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func be64(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// CString cuts a string attribute at its NUL.
func CString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// StringAttr is an attribute of a NUL-terminated string.
func StringAttr(typ uint16, s string) netlink.Attribute {
	return netlink.Attribute{Type: typ, Data: append([]byte(s), 0)}
}

// Wrap names the place and turns errnos into the sentinels.
func Wrap(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, os.ErrPermission):
		return fmt.Errorf("notrack: %s: %w", what, ctnl.ErrPermission)
	}
	return fmt.Errorf("notrack: %s: %w", what, err)
}
