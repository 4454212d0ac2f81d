package ctnl

import (
	"encoding/binary"

	"ctview/model"

	"golang.org/x/sys/unix"
)

// Expect decodes one message of the expectation subsystem, as Message does for flows. The kernel sends IPCTNL_MSG_EXP_NEW
// with NLM_F_CREATE|NLM_F_EXCL for a new one and without for an update.
func (d *Decoder) Expect(typ, flags uint16, portid uint32, payload []byte, x *model.Expect) error {
	*x = model.Expect{PortID: portid}
	switch {
	case len(payload) < nfgenLen:
		return errShort
	case typ>>8 != subsysExp:
		return errSubsystem
	case typ&0xff == expDelete:
		x.Kind = model.Destroy
	case typ&0xff != expNew:
		return errSubsystem
	case flags&unix.NLM_F_MULTI != 0:
		x.Kind = model.Dump
	case flags&(unix.NLM_F_CREATE|unix.NLM_F_EXCL) != 0:
		x.Kind = model.New
	default:
		x.Kind = model.Update
	}
	if err := d.expect(payload[nfgenLen:], x); err != nil {
		return err
	}
	if x.Tuple.Family == 0 {
		return errNoTuple
	}
	return nil
}

func (d *Decoder) expect(b []byte, x *model.Expect) error {
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		var err error
		switch typ {
		case ctaExpectMaster:
			err = tuple(v, &x.Master)
		case ctaExpectTuple:
			err = tuple(v, &x.Tuple)
		case ctaExpectMask:
			err = tuple(v, &x.Mask)
		case ctaExpectTimeout:
			ok = be32(v, &x.Timeout)
			x.HasTimeout = true
		case ctaExpectID:
			ok = be32(v, &x.ID)
		case ctaExpectHelpName:
			x.Helper = d.intern(cstring(v))
		case ctaExpectZone:
			ok = be16(v, &x.Zone)
			x.HasZone = true
		case ctaExpectFlags:
			ok = be32(v, (*uint32)(&x.Flags))
			x.HasFlags = true
		case ctaExpectClass:
			ok = be32(v, &x.Class)
			x.HasClass = true
		case ctaExpectNAT:
			err = expectNAT(v, x)
		case ctaExpectFn:
			x.Fn = d.intern(cstring(v))
		}
		if err != nil {
			return err
		}
		if !ok {
			return errValueLen
		}
	}
	return nil
}

func expectNAT(b []byte, x *model.Expect) error {
	for len(b) > 0 {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		var err error
		switch typ {
		case ctaExpectNATDir:
			ok = be32(v, &x.NATDir)
		case ctaExpectNATTuple:
			err = tuple(v, &x.NAT)
		}
		if err != nil {
			return err
		}
		if !ok {
			return errValueLen
		}
	}
	return nil
}

func tuple(v []byte, t *model.Tuple) error {
	var p parsedTuple
	if err := p.parse(v); err != nil {
		return err
	}
	*t = p.t
	return nil
}

// cpuStats decodes the counters of one CPU, of flows or of expectations: 32-bit attributes by number. Attributes of
// another size or past the array are skipped.
func cpuStats(payload []byte, s *model.CPUStats) error {
	if len(payload) < nfgenLen {
		return errShort
	}
	*s = model.CPUStats{CPU: int(binary.BigEndian.Uint16(payload[2:]))}
	for b := payload[nfgenLen:]; len(b) > 0; {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		if int(typ) < len(s.Values) && be32(v, &s.Values[typ]) {
			s.Has |= 1 << typ
		}
	}
	return nil
}
