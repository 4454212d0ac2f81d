package ctnl

import (
	"context"
	"errors"
	"fmt"

	"ctview/model"

	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"
)

// Expects calls fn for each expectation of a family, 0 for both; x is reused. It runs on a socket of its own. The error
// wraps ErrIncomplete where there were some that cannot be read.
func (k *Kernel) Expects(ctx context.Context, family model.Family, fn func(x *model.Expect) error) error {
	return k.alone(ctx, "expectations", func(x *exchange) error {
		x.begin(netfilter.NFSubsysCTNetlinkExp, expGet, unix.NLM_F_DUMP, family, 0).end()
		var row model.Expect
		bad := 0
		err := x.each(ctx, func(h header, payload []byte) error {
			if x.d.Expect(h.typ, h.flags, h.portid, payload, &row) != nil {
				bad++
				return nil
			}
			return fn(&row)
		})
		if err == nil && bad > 0 {
			return fmt.Errorf("%w: %d messages broken", ErrIncomplete, bad)
		}
		return probeError(err)
	})
}

// GetExpect asks for the expectation of a tuple. The error wraps ErrGone where there is none.
func (k *Kernel) GetExpect(ctx context.Context, t model.Tuple, zone uint16) (row model.Expect, err error) {
	err = k.with(ctx, "get expectation", func(x *exchange) error {
		r := x.begin(netfilter.NFSubsysCTNetlinkExp, expGet, 0, t.Family, 0)
		r.expectKey(&t, zone, 0)
		r.end()
		return errnoError(x.one(ctx, func(h header, payload []byte) error {
			return x.d.Expect(h.typ, h.flags, h.portid, payload, &row)
		}))
	})
	return row, err
}

// DeleteExpect deletes the expectation of a tuple; with an ID other than 0 only if it has it. The error wraps ErrGone
// where there is none such.
func (k *Kernel) DeleteExpect(ctx context.Context, t model.Tuple, zone uint16, id uint32) error {
	return k.with(ctx, "delete expectation", func(x *exchange) error {
		r := x.begin(netfilter.NFSubsysCTNetlinkExp, expDelete, unix.NLM_F_ACK, t.Family, 0)
		r.expectKey(&t, zone, id)
		r.end()
		return x.ack(ctx)
	})
}

// FlushExpects deletes all expectations, of both families whatever is asked for: the kernel knows no other way.
func (k *Kernel) FlushExpects(ctx context.Context) error {
	return k.with(ctx, "flush expectations", func(x *exchange) error {
		x.begin(netfilter.NFSubsysCTNetlinkExp, expDelete, unix.NLM_F_ACK, 0, 0).end()
		return x.ack(ctx)
	})
}

// CreateExpect makes an expectation: Tuple, Mask and Master are needed, the flow of Master must exist. Zone, Helper,
// Class, Flags, Fn and NAT are sent where they are set.
func (k *Kernel) CreateExpect(ctx context.Context, e *model.Expect) error {
	return k.with(ctx, "create expectation", func(x *exchange) error {
		x.expect(e, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
		return x.ack(ctx)
	})
}

// UpdateExpect sets the timeout of an expectation that exists, named by Tuple and Zone; the kernel changes nothing
// else.
func (k *Kernel) UpdateExpect(ctx context.Context, e *model.Expect) error {
	if !e.HasTimeout {
		return fmt.Errorf("ctnl: update expectation: %w", errors.New("no timeout"))
	}
	return k.with(ctx, "update expectation", func(x *exchange) error {
		x.expect(e, unix.NLM_F_ACK)
		return x.ack(ctx)
	})
}

func (x *exchange) expect(e *model.Expect, flags uint16) {
	r := x.begin(netfilter.NFSubsysCTNetlinkExp, expNew, flags, e.Tuple.Family, 0)
	r.tuple(ctaExpectMaster, &e.Master, 0)
	r.expectKey(&e.Tuple, e.Zone, 0)
	r.tuple(ctaExpectMask, &e.Mask, 0)
	if e.HasTimeout {
		r.uint32(ctaExpectTimeout, e.Timeout)
	}
	if e.Helper != "" {
		r.cstring(ctaExpectHelpName, e.Helper)
	}
	if e.HasClass {
		r.uint32(ctaExpectClass, e.Class)
	}
	if e.HasFlags {
		r.uint32(ctaExpectFlags, uint32(e.Flags))
	}
	if e.Fn != "" {
		r.cstring(ctaExpectFn, e.Fn)
	}
	if e.NAT.Family != 0 {
		at := r.nest(ctaExpectNAT)
		r.uint32(ctaExpectNATDir, e.NATDir)
		r.tuple(ctaExpectNATTuple, &e.NAT, 0)
		r.endNest(at)
	}
	r.end()
}

func (r *request) expectKey(t *model.Tuple, zone uint16, id uint32) {
	r.tuple(ctaExpectTuple, t, 0)
	if zone != 0 {
		r.uint16(ctaExpectZone, zone)
	}
	if id != 0 {
		r.uint32(ctaExpectID, id)
	}
}
