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
