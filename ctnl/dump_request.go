package ctnl

import (
	"encoding/binary"

	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"

	"ctview/model"
)

// dumpRequest writes the request. Only what the kernel matches rightly goes into it (see model.KernelFilter), and
// always a value with its mask: a mask alone is ignored, a status of 0 alone refused.
func dumpRequest(r *request, opt *DumpOptions) {
	typ := uint8(ctGet)
	switch {
	case opt.Source == Dying:
		typ = ctGetDying
	case opt.Source == Unconfirmed:
		typ = ctGetUnconfirmed
	case opt.Zero:
		typ = ctGetCtrZero
	}
	k := &opt.Filter
	r.message(netfilter.NFSubsysCTNetlink, typ, unix.NLM_F_DUMP, 1, k.Family, 0)
	if k.HasMark {
		r.uint32(ctaMark, k.Mark&k.MarkMask)
		r.uint32(ctaMarkMask, k.MarkMask)
	}
	if k.HasStatus && k.StatusMask != 0 {
		r.uint32(ctaStatus, uint32(k.Status&k.StatusMask))
		r.uint32(ctaStatusMask, uint32(k.StatusMask))
	}
	if k.HasZone {
		r.uint16(ctaZone, k.Zone)
	}
	r.filterTuples(k)
	r.end()
}

// Bits of CTA_FILTER_ORIG_FLAGS and CTA_FILTER_REPLY_FLAGS (CTA_FILTER_F_* in nf_conntrack_netlink.c), by the parts of a
// model.KernelTuple.
var filterFlags = [...]uint32{1 << 0, 1 << 1, 1 << 4, 1 << 5, 1 << 3}

// filterTuples writes CTA_FILTER and what it compares. The kernel refuses it without a family.
func (r *request) filterTuples(k *model.KernelFilter) {
	tuples := [...]*model.KernelTuple{&k.Orig, &k.Reply}
	if k.Family == 0 || tuples[0].Has|tuples[1].Has == 0 {
		return
	}
	var flags [2]uint32
	for i, t := range tuples {
		for part, bit := range filterFlags {
			if t.Has>>part&1 != 0 {
				flags[i] |= bit
			}
		}
		if t.Has == 0 {
			continue
		}
		at := r.nest(uint16(ctaTupleOrig + i))
		ip := r.nest(ctaTupleIP)
		if k.Family == model.IPv4 {
			r.bytes(ctaIPv4Src, t.Src[:]...)
			r.bytes(ctaIPv4Dst, t.Dst[:]...)
		}
		r.endNest(ip)
		proto := r.nest(ctaTupleProto)
		r.bytes(ctaProtoNum, uint8(t.Proto))
		r.uint16(ctaProtoSrcPort, t.Sport)
		r.uint16(ctaProtoDstPort, t.Dport)
		r.endNest(proto)
		r.endNest(at)
	}
	at := r.nest(ctaFilter)
	r.bytes(1, binary.NativeEndian.AppendUint32(nil, flags[0])...) // CTA_FILTER_ORIG_FLAGS
	r.bytes(2, binary.NativeEndian.AppendUint32(nil, flags[1])...) // CTA_FILTER_REPLY_FLAGS
	r.endNest(at)
}
