package fill

import (
	"encoding/binary"
	"net/netip"

	"ctview/model"
)

// MaxFlow is the first number that is no flow's: 4096 clients with 60,000 ports each.
const MaxFlow = clients * ports

const (
	clients = 4096
	ports   = 60_000
	servers = 1000
)

// mix is splitmix64's finalizer: the digits of i well stirred.
func mix(i uint64) uint64 {
	i = (i + 1) * 0x9e3779b97f4a7c15
	i = (i ^ i>>30) * 0xbf58476d1ce4e5b9
	i = (i ^ i>>27) * 0x94d049bb133111eb
	return i ^ i>>31
}

// Key returns the key of flow i, as a dual-stack NAT router has them: one of 4096 clients to one of 1000 servers, 45 % over
// IPv6, a quarter UDP and the rest TCP, a tenth in zone 5.
func Key(i int) model.Key {
	r := mix(uint64(i))
	client, server := uint16(i%clients), uint16(r%servers)
	k := model.Key{
		Sport: uint16(2000 + i/clients), Dport: dports[r>>16%uint64(len(dports))],
		Proto: model.ProtoTCP, Family: model.IPv4,
	}
	if r>>32%4 == 0 {
		k.Proto = model.ProtoUDP
	}
	if r>>40%10 == 0 {
		k.Zone = 5
	}
	if r>>48%20 < 9 {
		k.Family = model.IPv6
		k.Src = [16]byte{0x20, 1, 0x0d, 0xb8, 0, 10}
		k.Dst = [16]byte{0x20, 1, 0x0d, 0xb8, 0, 20}
	} else {
		k.Src = [16]byte{10: 0xff, 11: 0xff, 12: 10, 13: 0}
		k.Dst = [16]byte{10: 0xff, 11: 0xff, 12: 10, 13: 128}
	}
	binary.BigEndian.PutUint16(k.Src[14:], client)
	binary.BigEndian.PutUint16(k.Dst[14:], server)
	return k
}

var dports = [...]uint16{443, 80, 53, 22, 8080, 5432, 6379, 993}

// SrcNAT returns the address that the source of flow i is translated to, the port staying as it is; ok is false for flows that
// are not translated: all over IPv6 and two of eleven others.
func SrcNAT(i int) (to netip.Addr, ok bool) {
	k := Key(i)
	if k.Family == model.IPv6 || mix(uint64(i)+1<<41)%11 < 2 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte{100, 64, k.Src[14], k.Src[15]}), true
}

// Attrs are what a flow is made with beside its key.
type Attrs struct {
	State   model.State // TCP only
	Status  model.Status
	Mark    uint32
	Timeout uint32 // seconds
}

// answered is what the kernel itself sets. A flow without CONFIRMED is refused with EBUSY.
const answered = model.StatusConfirmed | model.StatusSeenReply | model.StatusAssured

// AttrsOf returns those of flow i: mostly long-lived flows that were answered, and some SYNs that were not. None ends
// by itself within ten minutes.
func AttrsOf(i int) Attrs {
	r := mix(uint64(i) + 1<<40)
	a := Attrs{State: model.TCPEstablished, Status: answered, Timeout: 600 + uint32(r%3000)}
	switch r >> 16 % 16 {
	case 0:
		a.State, a.Status = model.TCPSynSent, model.StatusConfirmed
	case 1:
		a.State = model.TCPTimeWait
	case 2:
		a.State = model.TCPCloseWait
	}
	if r>>32%3 == 0 {
		a.Mark = 1 + uint32(r>>40%16)
	}
	return a
}
