package model

// A KernelFilter is the part of a filter that the kernel itself may apply to a dump. It only narrows: who uses it
// checks every row again, because old kernels ignore what they do not know. Addresses and ports are left out on
// purpose: the kernel's match of IPv6 addresses is inverted and that of some ports is missing (CTA_FILTER). The zero
// value lets everything pass.
type KernelFilter struct {
	Family Family // 0: both

	// Mark&MarkMask is compared with the flow's mark under MarkMask.
	Mark, MarkMask uint32
	HasMark        bool

	// Status&StatusMask is compared with the flow's status under StatusMask.
	Status, StatusMask Status
	HasStatus          bool

	Zone    uint16 // whatever direction the zone is tied to
	HasZone bool
}

// IsZero reports whether k lets everything pass.
func (k *KernelFilter) IsZero() bool { return *k == KernelFilter{} }

// Match reports whether f passes.
func (k *KernelFilter) Match(f *Flow) bool {
	switch {
	case k.Family != 0 && k.Family != f.Family,
		k.HasMark && (k.Mark^f.Mark)&k.MarkMask != 0,
		k.HasStatus && (k.Status^f.Status)&k.StatusMask != 0,
		k.HasZone && k.Zone != f.Zone:
		return false
	}
	return true
}

// And returns a filter that passes what both pass, at least. Where they contradict each other one is dropped: the
// whole filter then matches nothing, and finds that out by itself.
func (k KernelFilter) And(o KernelFilter) KernelFilter {
	if k.Family == 0 {
		k.Family = o.Family
	}
	if o.HasMark && (k.Mark^o.Mark)&k.MarkMask&o.MarkMask == 0 {
		k = k.WithMark(k.Mark|o.Mark, k.MarkMask|o.MarkMask)
	}
	if o.HasStatus && (k.Status^o.Status)&k.StatusMask&o.StatusMask == 0 {
		k = k.WithStatus(k.Status|o.Status, k.StatusMask|o.StatusMask)
	}
	if !k.HasZone {
		k.Zone, k.HasZone = o.Zone, o.HasZone
	}
	return k
}

// Or returns a filter that passes what either passes: the parts that both ask for.
func (k KernelFilter) Or(o KernelFilter) KernelFilter {
	if k.Family != o.Family {
		k.Family = 0
	}
	mask := k.MarkMask & o.MarkMask &^ (k.Mark ^ o.Mark)
	k = k.WithMark(k.Mark&mask, mask)
	smask := k.StatusMask & o.StatusMask &^ (k.Status ^ o.Status)
	k = k.WithStatus(k.Status&smask, smask)
	if k.Zone != o.Zone || k.HasZone != o.HasZone {
		k.Zone, k.HasZone = 0, false
	}
	return k
}

// WithMark returns k with the mark compared with v under mask; a mask of 0 compares nothing.
func (k KernelFilter) WithMark(v, mask uint32) KernelFilter {
	k.Mark, k.MarkMask, k.HasMark = v, mask, mask != 0
	return k
}

// WithStatus returns k with the status compared with v under mask; a mask of 0 compares nothing.
func (k KernelFilter) WithStatus(v, mask Status) KernelFilter {
	k.Status, k.StatusMask, k.HasStatus = v, mask, mask != 0
	return k
}
