package format

import "ctview/model"

// FillEvent makes e the dump message that the kernel would send for a flow of a table, as far as the table knows, so
// that rows can be written in every form of this package. x may be nil. Of what a table does not keep (use count, TCP
// window scales and flags, sequence adjustments) e says nothing; a mark is always told.
func FillEvent(e *model.Event, f *model.Flow, x *model.Extra, now int64) {
	*e = model.Event{Kind: model.Dump, Flow: *f}
	e.Has = model.HasOrig | model.HasReply | model.HasStatus | model.HasMark | model.HasID
	if f.Known&model.KnownState != 0 {
		e.Has |= model.HasProtoinfo
	}
	if f.Known&model.KnownTimeout != 0 {
		e.Has |= model.HasTimeout
		e.Timeout = uint32(max(f.Expires-now+second/2, 0) / second)
	}
	if f.Known&model.KnownCounters != 0 {
		e.Has |= model.HasCountersOrig | model.HasCountersReply
	}
	if f.Known&model.KnownStart != 0 {
		e.Has |= model.HasStart
		e.Start = f.First
	}
	if f.Helper != 0 {
		e.Has |= model.HasHelper
	}
	if f.Zone != 0 {
		e.Has |= model.HasZone
	}
	if x == nil {
		return
	}
	e.Extra = *x
	if x.Labels != (model.Labels{}) {
		e.Has |= model.HasLabels
	}
	if x.Secctx != "" {
		e.Has |= model.HasSecctx
	}
	if x.Master.Family != 0 {
		e.Has |= model.HasMaster
	}
}
