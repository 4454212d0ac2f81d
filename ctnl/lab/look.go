package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"ctview/model"
)

// Attribute numbers, <linux/netfilter/nfnetlink_conntrack.h>.
const (
	ctaTupleOrig  = 1
	ctaTupleReply = 2
	ctaStatus     = 3
	ctaProtoinfo  = 4
	ctaZone       = 18

	ctaTupleIP    = 1
	ctaTupleProto = 2

	ctaIPv4Src, ctaIPv4Dst = 1, 2
	ctaIPv6Src, ctaIPv6Dst = 3, 4

	ctaProtoNum                     = 1
	ctaProtoSrcPort                 = 2
	ctaProtoDstPort                 = 3
	ctaICMPID, ctaICMPType, ctaCode = 4, 5, 6
	ctaICMPv6ID                     = 7 // type and code follow as 8 and 9

	ctaProtoinfoTCP   = 1
	ctaProtoinfoSCTP  = 3
	ctaProtoinfoState = 1 // of both
)

// flow asks the router's kernel for one flow. Of the answer only the reply tuple, the status bits and the state are
// read: package ctnl has the decoder, and its tests need this package. No such flow is unix.ENOENT.
func (l *Lab) flow(k model.Key) (f model.Flow, err error) {
	err = l.router.Do(func() error {
		req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_CTNETLINK<<8|1, unix.NLM_F_ACK) // IPCTNL_MSG_CT_GET
		req.AddData(&nl.Nfgenmsg{NfgenFamily: uint8(k.Family)})
		req.AddData(tupleAttr(k))
		if k.Zone != 0 {
			req.AddData(nl.NewRtAttr(ctaZone, binary.BigEndian.AppendUint16(nil, k.Zone)))
		}
		msgs, err := req.Execute(unix.NETLINK_NETFILTER, 0)
		if err != nil {
			return err
		}
		if len(msgs) == 0 || len(msgs[0]) < nl.SizeofNfgenmsg {
			return errors.New("no answer")
		}
		f, err = parseFlow(k, msgs[0][nl.SizeofNfgenmsg:])
		return err
	})
	if err != nil {
		return f, fmt.Errorf("lab: router: flow %s: %w", show(k), err)
	}
	return f, nil
}

// tupleAttr encodes k's tuple as CTA_TUPLE_ORIG.
func tupleAttr(k model.Key) *nl.RtAttr {
	be16 := func(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
	orig := nl.NewRtAttr(ctaTupleOrig|unix.NLA_F_NESTED, nil)
	ip := orig.AddRtAttr(ctaTupleIP|unix.NLA_F_NESTED, nil)
	if k.Family == model.IPv4 {
		ip.AddRtAttr(ctaIPv4Src, k.Src[12:])
		ip.AddRtAttr(ctaIPv4Dst, k.Dst[12:])
	} else {
		ip.AddRtAttr(ctaIPv6Src, k.Src[:])
		ip.AddRtAttr(ctaIPv6Dst, k.Dst[:])
	}
	proto := orig.AddRtAttr(ctaTupleProto|unix.NLA_F_NESTED, nil)
	proto.AddRtAttr(ctaProtoNum, []byte{byte(k.Proto)})
	first := ctaICMPID
	switch k.Proto {
	case model.ProtoICMPv6:
		first = ctaICMPv6ID
		fallthrough
	case model.ProtoICMP:
		proto.AddRtAttr(first, be16(k.Sport))
		proto.AddRtAttr(first+1, []byte{byte(k.Dport >> 8)})
		proto.AddRtAttr(first+2, []byte{byte(k.Dport)})
	default:
		proto.AddRtAttr(ctaProtoSrcPort, be16(k.Sport))
		proto.AddRtAttr(ctaProtoDstPort, be16(k.Dport))
	}
	return orig
}

func parseFlow(k model.Key, b []byte) (model.Flow, error) {
	f := model.Flow{Key: k}
	attrs, err := attrMap(b)
	if err != nil {
		return f, err
	}
	if v := attrs[ctaStatus]; len(v) == 4 {
		f.Status = model.Status(binary.BigEndian.Uint32(v))
	}
	if reply, err := attrMap(attrs[ctaTupleReply]); err != nil {
		return f, err
	} else if err := parseReply(&f, reply); err != nil {
		return f, err
	}
	info, err := attrMap(attrs[ctaProtoinfo])
	if err != nil {
		return f, err
	}
	for _, proto := range []uint16{ctaProtoinfoTCP, ctaProtoinfoSCTP} {
		m, err := attrMap(info[proto])
		if err != nil {
			return f, err
		}
		if v := m[ctaProtoinfoState]; len(v) == 1 {
			f.State, f.Known = model.State(v[0]), model.KnownState
		}
	}
	return f, nil
}

func parseReply(f *model.Flow, tuple map[uint16][]byte) error {
	ip, err := attrMap(tuple[ctaTupleIP])
	if err != nil {
		return err
	}
	proto, err := attrMap(tuple[ctaTupleProto])
	if err != nil {
		return err
	}
	f.ReplySrc, f.ReplyDst = f.Dst, f.Src // the first twelve bytes of a 4-in-6 are right already
	if f.Family == model.IPv4 {
		copy(f.ReplySrc[12:], ip[ctaIPv4Src])
		copy(f.ReplyDst[12:], ip[ctaIPv4Dst])
	} else {
		copy(f.ReplySrc[:], ip[ctaIPv6Src])
		copy(f.ReplyDst[:], ip[ctaIPv6Dst])
	}
	if v := proto[ctaProtoSrcPort]; len(v) == 2 {
		f.ReplySport = binary.BigEndian.Uint16(v)
	}
	if v := proto[ctaProtoDstPort]; len(v) == 2 {
		f.ReplyDport = binary.BigEndian.Uint16(v)
	}
	return nil
}

func attrMap(b []byte) (map[uint16][]byte, error) {
	attrs, err := nl.ParseRouteAttr(b)
	m := make(map[uint16][]byte, len(attrs))
	for _, a := range attrs {
		m[a.Attr.Type&nl.NLA_TYPE_MASK] = a.Value
	}
	return m, err
}

// Await returns when the router has a flow with key k of which ok holds (nil: any), or with an error when ctx ends or
// 5 seconds have passed. Of the flow ok may look at the reply tuple, Status and State (TCP, SCTP).
func (l *Lab) Await(ctx context.Context, k model.Key, ok func(*model.Flow) bool) error {
	_, err := l.await(ctx, k, ok)
	return err
}

func (l *Lab) await(ctx context.Context, k model.Key, ok func(*model.Flow) bool) (model.Flow, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 20*time.Millisecond) {
		f, err := l.flow(k)
		switch {
		case err == nil && (ok == nil || ok(&f)):
			return f, nil
		case err != nil && !errors.Is(err, unix.ENOENT):
			return f, err
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("lab: router: flow %s is %s, %v", show(k), f.StateText(), f.Status)
			}
			return f, errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

// show returns a key for error texts.
func show(k model.Key) string {
	t := k.OrigTuple()
	src, dst := netip.AddrPortFrom(t.SrcAddr(), t.Sport), netip.AddrPortFrom(t.DstAddr(), t.Dport)
	return fmt.Sprintf("%s %s > %s zone %d", k.Proto, src, dst, k.Zone)
}
