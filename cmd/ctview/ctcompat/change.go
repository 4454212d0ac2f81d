package ctcompat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"syscall"

	"ctview/ctnl"
	"ctview/model"
)

// create is -I and -A.
func (r *run) create(c *command) error {
	var s ctnl.Spec
	if err := c.spec(&s); err != nil {
		return failed(c, err)
	}
	err := r.kernel.Create(r.ctx, &s)
	switch {
	case err == nil:
		r.shown++
	case errors.Is(err, ctnl.ErrExists) && c.op == opAdd:
	default:
		return failed(c, err)
	}
	return nil
}

// spec turns the template into a flow to be made, s.
func (c *command) spec(s *ctnl.Spec) error {
	t := c.t
	t.mirror()
	*s = ctnl.Spec{}
	f := &s.Flow
	f.Src, f.Dst, f.Sport, f.Dport = t.orig.Src, t.orig.Dst, t.orig.Sport, t.orig.Dport
	f.Proto, f.Family = t.orig.Proto, t.orig.Family
	f.ReplySrc, f.ReplyDst, f.ReplySport, f.ReplyDport = t.reply.Src, t.reply.Dst, t.reply.Sport, t.reply.Dport
	s.Has = model.HasReply
	if err := t.setZone(f); err != nil {
		return err
	}
	t.setMeta(s)
	if c.opts.has(optMark) {
		f.Mark = t.mark.value
		s.Has |= model.HasMark
	}
	if c.opts.has(optLabelAdd) {
		labels, err := t.labelMod.kernel()
		if err != nil {
			return err
		}
		s.Extra.Labels = labels
		s.Has |= model.HasLabels
	}
	s.SrcNAT = t.snat.request(t.has.has(hasSNAT))
	s.DstNAT = t.dnat.request(t.has.has(hasDNAT))
	return nil
}

// setZone sets the one zone that a flow can have. The kernel refuses two.
func (t *template) setZone(f *model.Flow) error {
	for _, z := range []struct {
		given bool
		zone  uint16
		dir   model.ZoneDir
	}{{t.has.has(hasZone), t.zone, model.ZoneBoth}, {t.has.has(hasOrigZone), t.orig.zone, model.ZoneOrig},
		{t.has.has(hasReplyZone), t.reply.zone, model.ZoneReply}} {
		if !z.given || z.zone == 0 {
			continue
		}
		if f.Zone != 0 {
			return syscall.EINVAL
		}
		f.Zone, f.ZoneDir = z.zone, z.dir
	}
	return nil
}

// setMeta sets timeout, status, state and what goes with it.
func (t *template) setMeta(s *ctnl.Spec) {
	if t.has.has(hasTimeout) {
		s.Timeout = t.timeout
		s.Has |= model.HasTimeout
	}
	if t.has.has(hasStatus) {
		s.Flow.Status = t.status | model.StatusConfirmed
		s.Has |= model.HasStatus
	}
	if t.has.has(hasTCPState | hasSCTPState | hasDCCPState) {
		s.Flow.State = t.state
		s.Has |= model.HasProtoinfo
	}
	if t.has.has(hasTCPFlags) && s.Flow.Proto == model.ProtoTCP {
		s.TCP.Flags = [2]uint8{t.tcpFlags, t.tcpFlags}
		s.TCP.Masks = s.TCP.Flags
		s.Has |= model.HasTCPInfo
	}
	for dir, has := range []attr{hasVTagOrig, hasVTagReply} {
		if t.has.has(has) {
			s.SCTP.VTag[dir] = swapTag(t.vtag[dir])
			s.Has |= model.HasSCTPInfo
		}
	}
	if t.has.has(hasDCCPRole) {
		s.DCCP.Role = t.role
		s.Has |= model.HasDCCPInfo
	}
	if t.helper != "" {
		s.HelperName = t.helper
		s.Has |= model.HasHelper
	}
}

// swapTag turns the number that stands on a command line or in a save file into a verification tag, and back: conntrack
// swaps the bytes on little-endian machines both times, and its files shall be readable here.
func swapTag(v uint32) uint32 {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], v)
	return binary.BigEndian.Uint32(b[:])
}

// request returns the NAT that the kernel shall set up, nil for none.
func (n *natRange) request(given bool) *ctnl.NATRange {
	if !given {
		return nil
	}
	return &ctnl.NATRange{Min: n.family.Addr(n.addr), PortMin: n.port, PortMax: n.port}
}

// kernel returns the set as the kernel keeps it. More bits than it has are refused, as the kernel does.
func (s *labelSet) kernel() (l model.Labels, err error) {
	for bit := range s.words * 32 {
		if s.bits[bit/32]&(1<<(bit%32)) == 0 {
			continue
		}
		if bit >= model.LabelBits {
			return l, syscall.ERANGE
		}
		l.Set(bit)
	}
	return l, nil
}

// delete is -D. A flow that is gone when its turn comes is neither shown nor counted; the others are deleted by tuple,
// zone and ID.
func (r *run) delete(c *command) error {
	p := r.newPrinter(c, false)
	err := r.dump(ctnl.DumpOptions{Filter: c.kernelFilter()}, func(e *model.Event) error {
		if !c.match(e) {
			return nil
		}
		err := r.kernel.Delete(r.ctx, e.Flow.Key, e.Flow.ID)
		switch {
		case errors.Is(err, ctnl.ErrGone):
			return nil
		case err != nil:
			return err
		}
		e.Kind = deletedKind(c)
		p.flow(e)
		r.shown++
		return nil
	})
	return wrapFailed(c, err)
}

// deletedKind makes save lines of deleted flows begin with -D; other formats show rows.
func deletedKind(c *command) model.Kind {
	if c.out.save {
		return model.Destroy
	}
	return model.Dump
}

// flush is -F. conntrack ignores -f; here the flows of that family are deleted one by one, because a kernel that does
// not know a filtered flush empties the table.
func (r *run) flush(c *command) error {
	if c.family == 0 {
		if err := r.kernel.Flush(r.ctx, 0); err != nil {
			return failed(c, err)
		}
		fmt.Fprint(r.Stderr, prefix+"connection tracking table has been emptied.\n")
		return nil
	}
	var targets []ctnl.Target
	err := r.dump(ctnl.DumpOptions{Filter: model.KernelFilter{Family: c.family}}, func(e *model.Event) error {
		targets = append(targets, ctnl.Target{Key: e.Flow.Key, ID: e.Flow.ID})
		return nil
	})
	if err != nil {
		return failed(c, err)
	}
	res, err := r.kernel.DeleteMany(r.ctx, targets, nil)
	if err == nil && len(res.Failed) > 0 {
		err = res.Failed[0].Err
	}
	if err != nil {
		return failed(c, err)
	}
	fmt.Fprintf(r.Stderr, "%sconnection tracking table has been emptied of %v entries.\n", prefix, c.family)
	return nil
}

// update is -U. Each flow is changed in its own zone and shown as it then is; one that cannot be changed is told and
// not counted.
func (r *run) update(c *command) error {
	p := r.newPrinter(c, false)
	var todo []model.Event
	err := r.dump(ctnl.DumpOptions{Filter: c.kernelFilter()}, func(e *model.Event) error {
		if c.matchUpdate(e) {
			todo = append(todo, *e)
		}
		return nil
	})
	if err != nil {
		return failed(c, err)
	}
	for i := range todo {
		s, err := c.change(&todo[i])
		if err != nil {
			return failed(c, err)
		}
		if s == nil {
			continue // it is so already
		}
		if err := r.kernel.Update(r.ctx, s); errors.Is(err, ctnl.ErrGone) {
			continue
		} else if err != nil {
			fmt.Fprintf(r.Stderr, "%s\n", failed(c, err))
			continue
		}
		e, err := r.kernel.Get(r.ctx, todo[i].Flow.Key)
		if errors.Is(err, ctnl.ErrGone) {
			continue
		} else if err != nil {
			return failed(c, err)
		}
		p.flow(&e)
		r.shown++
	}
	return nil
}

// change returns what makes e as the command line wants it, nil if it is.
func (c *command) change(e *model.Event) (*ctnl.Spec, error) {
	t := &c.t
	s := &ctnl.Spec{}
	s.Flow.Key = e.Flow.Key
	changed := t.has.has(hasTimeout) && (!e.Has.Has(model.HasTimeout) || t.timeout != e.Timeout) ||
		t.has.has(hasTCPState|hasSCTPState|hasDCCPState) && (!e.Has.Has(model.HasProtoinfo) || t.state != e.Flow.State) ||
		t.helper != "" && t.helper != e.Flow.Helper.String()
	t.setMeta(s)
	s.TCP.WScale = e.TCP.WScale // goes with the flags and stays
	if s.Flow.Proto == model.ProtoSCTP && s.Has&(model.HasProtoinfo|model.HasSCTPInfo) != 0 {
		changed = c.keepSCTP(s, e) || changed
	}
	if t.has.has(hasStatus) {
		changed = changed || !e.Flow.Status.Has(t.status)
		s.Flow.Status |= e.Flow.Status
	}
	if c.opts.has(optMark) {
		s.Flow.Mark = e.Flow.Mark&^t.mark.mask ^ t.mark.value
		s.Has |= model.HasMark
		changed = changed || s.Flow.Mark != e.Flow.Mark
	}
	if c.opts.has(optLabelAdd | optLabelDel) {
		labels, err := c.changeLabels(s, e)
		if err != nil {
			return nil, err
		}
		changed = changed || labels
	}
	if !changed {
		return nil, nil
	}
	return s, nil
}

// keepSCTP fills in what was not given of state and tags: the kernel takes all three or none.
func (c *command) keepSCTP(s *ctnl.Spec, e *model.Event) (changed bool) {
	if !c.t.has.has(hasSCTPState) {
		s.Flow.State = e.Flow.State
	}
	for dir, has := range []attr{hasVTagOrig, hasVTagReply} {
		if !c.t.has.has(has) {
			s.SCTP.VTag[dir] = e.SCTP.VTag[dir]
		}
		changed = changed || s.SCTP.VTag[dir] != e.SCTP.VTag[dir]
	}
	s.Has |= model.HasProtoinfo | model.HasSCTPInfo
	return changed
}

// changeLabels sets the labels to add or delete and leaves the others alone. It reports whether there is anything to
// do: nothing can be taken from a flow without labels.
func (c *command) changeLabels(s *ctnl.Spec, e *model.Event) (bool, error) {
	mod, err := c.t.labelMod.kernel()
	if err != nil {
		return false, err
	}
	s.LabelsMask, s.HasLabelsMask = mod, true
	switch {
	case c.opts.has(optLabelAdd):
		s.Extra.Labels = mod
	case !e.Has.Has(model.HasLabels):
		return false, nil
	case c.t.delLabels:
		for i := range s.LabelsMask {
			s.LabelsMask[i] = math.MaxUint8
		}
	}
	s.Has |= model.HasLabels
	return true, nil
}
