package ctnl

import (
	"encoding/binary"
	"fmt"
	"strings"

	"ctview/model"

	"golang.org/x/sys/unix"
)

// The ways in which a message is refused. Made once: refusing must not allocate.
var (
	errAttrLen   = fmt.Errorf("ctnl: decode: %w: length of an attribute", ErrMalformed)
	errValueLen  = fmt.Errorf("ctnl: decode: %w: size of a value", ErrMalformed)
	errNoTuple   = fmt.Errorf("ctnl: decode: %w: no original tuple", ErrMalformed)
	errFamilies  = fmt.Errorf("ctnl: decode: %w: two address families in a tuple", ErrMalformed)
	errShort     = fmt.Errorf("ctnl: decode: %w: shorter than its header", ErrMalformed)
	errSubsystem = fmt.Errorf("ctnl: decode: %w: not of conntrack", ErrMalformed)
)

// maxInterned bounds the security contexts and helper data that a Decoder remembers.
const maxInterned = 1024

// A Decoder turns ctnetlink messages into events. It skips attributes that it does not know, at every level, and
// refuses messages whose lengths are wrong. It allocates only for a helper name, security context or helper datum
// that it has not met. Not safe for concurrent use.
type Decoder struct {
	strings map[string]string
}

// NewDecoder returns a Decoder.
func NewDecoder() *Decoder { return &Decoder{strings: make(map[string]string)} }

// intern returns v as a string, the same one each time.
func (d *Decoder) intern(v []byte) string {
	if len(v) == 0 {
		return ""
	}
	if s, ok := d.strings[string(v)]; ok {
		return s
	}
	s := strings.Clone(string(v))
	if len(d.strings) < maxInterned {
		d.strings[s] = s
	}
	return s
}

// Message decodes one flow message. typ, flags and portid are nlmsg_type, nlmsg_flags and nlmsg_pid of its header,
// payload what follows the header (struct nfgenmsg and attributes). now, Unix nanoseconds, is when it was received:
// Flow.Expires and CountersAt are reckoned from it. e is overwritten; it keeps nothing of payload. Answers to dumps
// and GETs (NLM_F_MULTI) become Dump. The error wraps ErrMalformed; e is then undefined.
func (d *Decoder) Message(now int64, typ, flags uint16, portid uint32, payload []byte, e *model.Event) error {
	*e = model.Event{PortID: portid}
	switch {
	case len(payload) < nfgenLen:
		return errShort
	case typ>>8 != subsysCT:
		return errSubsystem
	case typ&0xff == ctDelete:
		e.Kind = model.Destroy
	case typ&0xff != ctNew:
		return errSubsystem
	case flags&unix.NLM_F_MULTI != 0:
		e.Kind = model.Dump
	case flags&(unix.NLM_F_CREATE|unix.NLM_F_EXCL) != 0:
		e.Kind = model.New
	default:
		e.Kind = model.Update
	}
	if err := d.flow(payload[nfgenLen:], e); err != nil {
		return err
	}
	if e.Has&model.HasOrig == 0 {
		return errNoTuple
	}
	d.settle(now, e)
	return nil
}

// settle derives from the attributes what a Flow holds in another form.
func (d *Decoder) settle(now int64, e *model.Event) {
	f := &e.Flow
	if e.Has&model.HasTimeout != 0 {
		f.Expires = now + int64(e.Timeout)*1e9
		f.Known |= model.KnownTimeout
	}
	if e.Has&(model.HasCountersOrig|model.HasCountersReply) != 0 {
		f.CountersAt = now
		f.Known |= model.KnownCounters
	}
	if e.Has&model.HasProtoinfo != 0 {
		f.Known |= model.KnownState
	}
	if e.Has&model.HasStart != 0 {
		f.First = e.Start
		f.Known |= model.KnownStart
	}
}

// A Walk is where Batch stands in a datagram.
type Walk struct {
	Rest  []byte // messages not decoded yet
	Done  bool   // NLMSG_DONE was met, or NLMSG_ERROR: the answer is over
	Err   error  // the errno of NLMSG_ERROR or of a failed NLMSG_DONE, nil for an ACK
	Flags uint16 // nlmsg_flags of all messages, or-ed
	Bad   int    // messages refused
}

// Batch decodes the messages of one datagram as they come, w.Rest, into the free capacity of evs and returns the
// longer slice. It stops where evs is full, at NLMSG_DONE or NLMSG_ERROR, or at the end; w says which. Messages that
// are broken or of another subsystem are counted in w.Bad and skipped, except where the end of the message itself is
// in doubt: then the rest of the datagram is dropped.
func (d *Decoder) Batch(now int64, evs []model.Event, w *Walk) []model.Event {
	for len(w.Rest) > 0 && !w.Done && len(evs) < cap(evs) {
		h, payload, ok := w.next()
		if !ok {
			w.Bad++
			break
		}
		switch h.typ {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			w.Done, w.Err = true, replyErrno(payload)
			continue
		case unix.NLMSG_NOOP, unix.NLMSG_OVERRUN:
			continue
		}
		w.Flags |= h.flags
		evs = evs[:len(evs)+1]
		if d.Message(now, h.typ, h.flags, h.portid, payload, &evs[len(evs)-1]) != nil {
			w.Bad++
			evs = evs[:len(evs)-1]
		}
	}
	return evs
}

// A header is struct nlmsghdr.
type header struct {
	typ, flags  uint16
	seq, portid uint32
}

// next splits the first message off w.Rest. Where that fails, nothing is left.
func (w *Walk) next() (h header, payload []byte, ok bool) {
	b := w.Rest
	w.Rest = nil
	if len(b) < nlmsgHdrLen {
		return h, nil, false
	}
	n := int(binary.NativeEndian.Uint32(b))
	if n < nlmsgHdrLen || n > len(b) {
		return h, nil, false
	}
	h = header{
		typ:    binary.NativeEndian.Uint16(b[4:]),
		flags:  binary.NativeEndian.Uint16(b[6:]),
		seq:    binary.NativeEndian.Uint32(b[8:]),
		portid: binary.NativeEndian.Uint32(b[12:]),
	}
	w.Rest = b[min(align(n), len(b)):]
	return h, b[nlmsgHdrLen:n], true
}

// replyErrno reads the errno that starts the payload of NLMSG_ERROR and NLMSG_DONE; nil for 0.
func replyErrno(payload []byte) error {
	if len(payload) < 4 {
		return nil // NLMSG_DONE of old kernels may be empty
	}
	if n := int32(binary.NativeEndian.Uint32(payload)); n < 0 {
		return unix.Errno(-n)
	}
	return nil
}
