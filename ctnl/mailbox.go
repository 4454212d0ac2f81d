package ctnl

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"ctview/model"

	"golang.org/x/sys/unix"
)

const (
	// mailSlots is how many datagrams one system call reads. Each holds one event.
	mailSlots = 64
	// mailSize is the room for one. The longest event known, with labels and two tuples of IPv6, has 500 bytes.
	mailSize = 8 << 10
)

// An mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// A mailbox reads many datagrams with one system call (a third less CPU per event than one each) into memory of its own.
type mailbox struct {
	s     *socket
	hdrs  [mailSlots]mmsghdr
	iovs  [mailSlots]unix.Iovec
	froms [mailSlots]unix.RawSockaddrNetlink
	buf   []byte
	wait  bool
	n     int
	errno unix.Errno
	read  func(fd uintptr) bool // made once: a closure per call would be garbage
}

func newMailbox(s *socket) *mailbox {
	m := &mailbox{s: s, buf: make([]byte, mailSlots*mailSize)}
	for i := range m.hdrs {
		m.iovs[i].Base = &m.buf[i*mailSize]
		m.iovs[i].SetLen(mailSize)
		m.hdrs[i].hdr.Iov = &m.iovs[i]
		m.hdrs[i].hdr.SetIovlen(1)
		m.hdrs[i].hdr.Name = (*byte)(unsafe.Pointer(&m.froms[i]))
	}
	m.read = m.recvmmsg
	return m
}

// recvmmsg reads what there is. It returns false to be called again when there is something.
func (m *mailbox) recvmmsg(fd uintptr) bool {
	for i := range m.hdrs {
		m.hdrs[i].hdr.Namelen = unix.SizeofSockaddrNetlink // the kernel writes it
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&m.hdrs)), mailSlots,
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			m.n, m.errno = 0, 0
			return !m.wait
		}
		m.n, m.errno = int(n), errno
		if errno != 0 {
			m.n = 0
		}
		return true
	}
}

// receive returns how many datagrams were read: with wait at least one, else perhaps none.
func (m *mailbox) receive(wait bool) (int, error) {
	m.wait = wait
	if err := m.s.raw.Read(m.read); err != nil {
		return 0, err
	}
	if m.errno != 0 {
		return 0, fmt.Errorf("recvmmsg: %w", m.errno)
	}
	return m.n, nil
}

// datagram returns datagram i of the last receive, the port of its sender (0 is the kernel), and whether it was cut.
func (m *mailbox) datagram(i int) (b []byte, from uint32, cut bool) {
	h := &m.hdrs[i]
	at := i * mailSize
	return m.buf[at : at+min(int(h.n), mailSize)], m.froms[i].Pid, h.hdr.Flags&unix.MSG_TRUNC != 0
}

// nap is how long Run lets datagrams gather where they come faster than frequent apart: being woken for each costs more than
// reading it.
const (
	nap      = time.Millisecond
	frequent = 500 * time.Microsecond
)

// gather waits for a nap where the n datagrams read since the time before came fast.
func (w *Watcher) gather(n uint64, before int64) {
	if n > 0 && time.Duration(w.now-before) < time.Duration(n)*frequent {
		time.Sleep(nap)
	}
}

// fill reads datagrams into the batch until there are no more (dry) or it may be full. With wait it waits for the
// first.
func (w *Watcher) fill(wait bool) (dry bool, err error) {
	first := true
	for len(w.batch)+mailSlots <= cap(w.batch) {
		n, err := w.in.receive(wait && first)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// Woken. Waiting is allowed again before Run looks what for: in this order nothing is missed.
			if e := w.s.conn.SetReadDeadline(time.Time{}); e != nil {
				return false, e
			}
		}
		if err != nil {
			return false, err
		}
		if n == 0 {
			return true, nil
		}
		if first {
			w.now = nowNano()
			first = false
		}
		w.take(n)
	}
	return false, nil
}

// take decodes n datagrams.
func (w *Watcher) take(n int) {
	w.taken += uint64(n)
	var forged, malformed, cut uint64
	for i := range n {
		b, from, truncated := w.in.datagram(i)
		switch {
		case from != 0:
			forged++ // the header's nlmsg_pid says what the sender likes, its address does not
		case truncated:
			cut++
		default:
			if w.opt.Raw != nil {
				w.opt.Raw(w.now, b)
			}
			malformed += w.messages(b)
		}
	}
	if forged+malformed+cut > 0 {
		w.sink.Refuse(forged, malformed+cut)
	}
	if cut > 0 {
		w.lost(cut)
	}
}

// messages decodes the messages of one datagram and returns how many were broken.
func (w *Watcher) messages(b []byte) (bad uint64) {
	walk := Walk{Rest: b}
	for len(walk.Rest) > 0 {
		h, payload, ok := walk.next()
		if !ok {
			return bad + 1
		}
		switch h.typ >> 8 {
		case subsysCT:
			if len(w.batch) == cap(w.batch) {
				w.flush()
			}
			w.batch = w.batch[:len(w.batch)+1]
			if w.d.Message(w.now, h.typ, h.flags, h.portid, payload, &w.batch[len(w.batch)-1]) != nil {
				w.batch = w.batch[:len(w.batch)-1]
				bad++
			}
		case subsysExp:
			var x model.Expect
			if w.d.Expect(h.typ, h.flags, h.portid, payload, &x) != nil {
				bad++
				continue
			}
			w.expects = append(w.expects, x)
		}
	}
	return bad
}

// flush hands on what was decoded.
func (w *Watcher) flush() {
	if len(w.batch) > 0 {
		w.sink.Apply(w.now, w.batch)
		w.batch = w.batch[:0]
	}
	if len(w.expects) > 0 {
		if w.opt.Expect != nil {
			w.opt.Expect(w.now, w.expects)
		}
		w.expects = w.expects[:0]
	}
}
