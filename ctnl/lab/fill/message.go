package fill

import (
	"ctview/ctnl"
	"ctview/model"
)

// liberal is IP_CT_TCP_FLAG_BE_LIBERAL: real packets of a made-up window are then no error.
const liberal = 0x08

// create appends the message that makes flow i.
func create(b []byte, i int) []byte {
	a := AttrsOf(i)
	s := spec(i, model.HasTimeout|model.HasStatus)
	s.Timeout, s.Flow.Status = a.Timeout, a.Status
	if a.Mark != 0 {
		s.Flow.Mark, s.Has = a.Mark, s.Has|model.HasMark
	}
	if to, ok := SrcNAT(i); ok {
		s.SrcNAT = &ctnl.NATRange{Min: to, PortMin: s.Flow.Sport, PortMax: s.Flow.Sport}
	}
	if s.Flow.Proto == model.ProtoTCP {
		s.Flow.State, s.Has = a.State, s.Has|model.HasProtoinfo|model.HasTCPInfo
		s.TCP.Flags, s.TCP.Masks = [2]uint8{liberal, liberal}, [2]uint8{liberal, liberal}
	}
	return ctnl.AppendCreate(b, s)
}

// update appends the message that gives flow i a mark.
func update(b []byte, i int, mark uint32) []byte {
	s := spec(i, model.HasMark)
	s.Flow.Mark = mark
	return ctnl.AppendUpdate(b, s)
}

// destroy appends the message that ends flow i.
func destroy(b []byte, i int) []byte {
	k := Key(i)
	return ctnl.AppendDelete(b, &k)
}

func spec(i int, has model.Fields) *ctnl.Spec {
	return &ctnl.Spec{Event: model.Event{Has: has, Flow: model.Flow{Key: Key(i)}}}
}
