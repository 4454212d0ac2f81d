package filter

import (
	"bytes"
	"strconv"
	"strings"

	"ctview/model"
)

// A textSearch is a text to look for in a row. What comes from closed lists is searched once, when it is compiled.
type textSearch struct {
	text   string
	states uint64       // the states, by stateSlot, whose text has it
	protos [4]uint64    // the protocols whose name has it
	labels model.Labels // the labels whose name has it
	// ends is the text as it can stand in an address with its port; nil if it cannot.
	ends []byte
}

// newTextSearch prepares the search for text. labelName may be nil.
func newTextSearch(text string, labelName func(int) (string, bool)) *textSearch {
	s := &textSearch{text: text}
	for _, w := range stateWords() {
		if hasFold(w, text) {
			s.states |= stateBits(w)
		}
	}
	for i := range 256 {
		if hasFold(model.Proto(i).String(), text) {
			s.protos[i/64] |= 1 << (i % 64)
		}
	}
	for bit := range model.LabelBits {
		if labelName == nil {
			break
		}
		if n, ok := labelName(bit); ok && hasFold(n, text) {
			s.labels.Set(bit)
		}
	}
	if lower := strings.ToLower(text); strings.Trim(lower, "0123456789abcdefi.:[] ") == "" {
		s.ends = []byte(lower)
	}
	return s
}

// in searches the row: protocol, state, both tuples, helper, security context, labels by name. Each is searched by
// itself, so that nothing matches across two.
func (s *textSearch) in(fl *model.Flow, x *model.Extra) bool {
	if s.states>>stateSlot(fl)&1 != 0 || s.protos[fl.Proto/64]>>(fl.Proto%64)&1 != 0 ||
		fl.Helper != 0 && hasFold(fl.Helper.String(), s.text) || s.ends != nil && s.inEnds(fl) {
		return true
	}
	if x == nil {
		return false
	}
	if hasFold(x.Secctx, s.text) {
		return true
	}
	for i := range x.Labels {
		if x.Labels[i]&s.labels[i] != 0 {
			return true
		}
	}
	return false
}

// inEnds searches the addresses with their ports as the screen shows them. The reply tuple is written out only where
// it differs from the original one's inverse.
func (s *textSearch) inEnds(fl *model.Flow) bool {
	var buf [200]byte // four ends of at most 48 bytes, three newlines
	b := appendEnd(buf[:0], fl, &fl.Src, fl.Sport, true)
	b = appendEnd(append(b, '\n'), fl, &fl.Dst, fl.Dport, false)
	if fl.ReplyDst != fl.Src || fl.ReplySrc != fl.Dst || fl.ReplySport != fl.Dport || fl.ReplyDport != fl.Sport {
		b = appendEnd(append(b, '\n'), fl, &fl.ReplySrc, fl.ReplySport, true)
		b = appendEnd(append(b, '\n'), fl, &fl.ReplyDst, fl.ReplyDport, false)
	}
	return bytes.Contains(b, s.ends)
}

// appendEnd is AppendEndpoint in a quarter of its time for IPv4, which counts when a search reads a million flows.
func appendEnd(b []byte, fl *model.Flow, addr *[16]byte, port uint16, source bool) []byte {
	switch {
	case fl.Family == model.IPv4:
		b = appendDotted(b, addr)
	case fl.Proto.HasPorts():
		b = append(model.AppendAddr(append(b, '['), fl.Family, *addr), ']')
	default:
		b = model.AppendAddr(b, fl.Family, *addr)
	}
	switch {
	case fl.Proto.HasPorts():
		return strconv.AppendUint(append(b, ':'), uint64(port), 10)
	case source && fl.Proto.IsICMP():
		return strconv.AppendUint(append(b, " id "...), uint64(port), 10)
	}
	return b
}

// octets are the numbers of an IPv4 address, each with a point behind it.
var octets = func() (t [256]struct {
	text [4]byte
	n    uint8
}) {
	for i := range t {
		t[i].n = uint8(copy(t[i].text[:], strconv.Itoa(i)+"."))
	}
	return t
}()

func appendDotted(b []byte, addr *[16]byte) []byte {
	n := len(b)
	b = append(b, "255.255.255.255."...)
	for _, v := range addr[12:] {
		o := &octets[v]
		copy(b[n:n+4], o.text[:])
		n += int(o.n)
	}
	return b[:n-1]
}
