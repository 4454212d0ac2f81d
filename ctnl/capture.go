package ctnl

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync"

	"ctview/model"

	"golang.org/x/sys/unix"
)

// A capture file is a pcap of link type NETLINK with times in nanoseconds: what tcpdump and tshark write of an nlmon
// device, and read. Every packet is one datagram as the kernel sent it, behind a header of 16 bytes. The messages are in
// the byte order of the machine that captured them.
const (
	pcapMagic      = 0xa1b23c4d // nanoseconds
	pcapMagicMicro = 0xa1b2c3d4
	pcapngMagic    = 0x0a0d0d0a
	pcapHeader     = 24
	pcapRecord     = 16
	linkNetlink    = 253     // LINKTYPE_NETLINK
	cookedLen      = 16      // packet type, ARPHRD_*, 10 unused, netlink family: big endian
	arphrdNetlink  = 824     // ARPHRD_NETLINK
	packetUser     = 6       // PACKET_USER: to a process
	packetKernel   = 7       // PACKET_KERNEL: a request
	maxPacket      = 1 << 20 // no datagram is longer
)

// Two messages that the kernel does not send say in a capture what the datagrams cannot: NLMSG_NOOP that a dump of the
// whole table begins, NLMSG_OVERRUN how many events were lost (uint64).
const (
	markDump = unix.NLMSG_NOOP
	markLost = unix.NLMSG_OVERRUN
)

// A CaptureWriter writes datagrams to a capture file. Safe for concurrent use. An error sticks: Err and Flush tell it.
type CaptureWriter struct {
	mu      sync.Mutex
	w       *bufio.Writer
	head    [pcapRecord + cookedLen]byte
	packets uint64
	err     error
}

// NewCaptureWriter writes the header of a capture file.
func NewCaptureWriter(w io.Writer) *CaptureWriter {
	c := &CaptureWriter{w: bufio.NewWriterSize(w, 64<<10)}
	h := binary.NativeEndian.AppendUint32(nil, pcapMagic)
	h = binary.NativeEndian.AppendUint16(h, 2) // version 2.4
	h = binary.NativeEndian.AppendUint16(h, 4)
	h = append(h, make([]byte, 8)...) // UTC, accuracy unknown
	h = binary.NativeEndian.AppendUint32(h, maxPacket)
	h = binary.NativeEndian.AppendUint32(h, linkNetlink)
	_, c.err = c.w.Write(h)
	return c
}

// Write adds a datagram that was received at now, Unix nanoseconds.
func (c *CaptureWriter) Write(now int64, datagram []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	h, n := c.head[:0], uint32(cookedLen+len(datagram))
	h = binary.NativeEndian.AppendUint32(h, uint32(now/1e9))
	h = binary.NativeEndian.AppendUint32(h, uint32(now%1e9))
	h = binary.NativeEndian.AppendUint32(h, n)
	h = binary.NativeEndian.AppendUint32(h, n)
	h = binary.BigEndian.AppendUint16(h, packetUser)
	h = binary.BigEndian.AppendUint16(h, arphrdNetlink)
	h = append(h, make([]byte, 10)...)
	h = binary.BigEndian.AppendUint16(h, unix.NETLINK_NETFILTER)
	if _, c.err = c.w.Write(h); c.err == nil {
		_, c.err = c.w.Write(datagram)
	}
	c.packets++
}

// mark adds one of the marks.
func (c *CaptureWriter) mark(now int64, typ uint16, n uint64) {
	b := binary.NativeEndian.AppendUint32(nil, nlmsgHdrLen+8)
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, make([]byte, 10)...)
	c.Write(now, binary.NativeEndian.AppendUint64(b, n))
}

// Flush writes out what is buffered. It returns the first error of all writes.
func (c *CaptureWriter) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = c.w.Flush()
	}
	if c.err != nil {
		return fmt.Errorf("ctnl: record: %w", c.err)
	}
	return nil
}

// Packets returns how many datagrams were written.
func (c *CaptureWriter) Packets() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.packets
}

// A captureReader reads the datagrams that a capture file has of netfilter.
type captureReader struct {
	r     *bufio.Reader
	order binary.ByteOrder // of the machine that captured them
	micro bool
	buf   []byte
	at    int64  // where the next packet begins in the file
	began int64  // where the last one did
	short func() // called for a packet that is too short to be one
}

func newCaptureReader(r io.Reader) (*captureReader, error) {
	c := &captureReader{r: bufio.NewReaderSize(r, 64<<10), order: binary.NativeEndian, at: pcapHeader, short: func() {}}
	var h [pcapHeader]byte
	if _, err := io.ReadFull(c.r, h[:]); err != nil {
		return nil, fmt.Errorf("%w: no pcap file: %w", ErrMalformed, err)
	}
	magic := binary.NativeEndian.Uint32(h[:])
	if turned := bits.ReverseBytes32(magic); turned == pcapMagic || turned == pcapMagicMicro {
		magic, c.order = turned, otherOrder()
	}
	switch magic {
	case pcapMagic:
	case pcapMagicMicro:
		c.micro = true
	case pcapngMagic:
		return nil, fmt.Errorf("%w: a pcapng file (editcap -F nsecpcap makes a pcap file of it)", ErrMalformed)
	default:
		return nil, fmt.Errorf("%w: no pcap file", ErrMalformed)
	}
	if link := c.order.Uint32(h[20:]) & 0xffff; link != linkNetlink {
		return nil, fmt.Errorf("%w: link type %d, not NETLINK (%d)", ErrMalformed, link, linkNetlink)
	}
	return c, nil
}

// next returns the next datagram that the kernel sent to a process over NETLINK_NETFILTER, until io.EOF. It is valid until
// the next call. A file that ends within a packet gives io.ErrUnexpectedEOF.
func (c *captureReader) next() (now int64, datagram []byte, err error) {
	for {
		var h [pcapRecord]byte
		c.began = c.at
		if _, err := io.ReadFull(c.r, h[:]); err != nil {
			return 0, nil, err
		}
		now = int64(c.order.Uint32(h[4:]))
		if c.micro {
			now *= 1000
		}
		now += int64(c.order.Uint32(h[:])) * 1e9
		n := c.order.Uint32(h[8:])
		c.at += pcapRecord + int64(n)
		if n > maxPacket {
			return 0, nil, fmt.Errorf("%w: a packet of %d bytes", ErrMalformed, n)
		}
		if uint32(cap(c.buf)) < n {
			c.buf = make([]byte, n)
		}
		b := c.buf[:n]
		if _, err := io.ReadFull(c.r, b); err != nil {
			return 0, nil, errors.Join(io.ErrUnexpectedEOF, err)
		}
		if n < cookedLen {
			c.short()
			continue
		}
		if binary.BigEndian.Uint16(b) == packetKernel ||
			binary.BigEndian.Uint16(b[14:]) != unix.NETLINK_NETFILTER {
			continue // a request, or another netlink family
		}
		if c.order != binary.NativeEndian {
			swapDatagram(b[cookedLen:])
		}
		return now, b[cookedLen:], nil
	}
}

// ReplayOptions say what else to do with a capture.
type ReplayOptions struct {
	// Expect, if not nil, gets expectations and their events; it must not keep x.
	Expect func(now int64, x *model.Expect)
	// Pace, if not nil, is called before the datagrams of a time are applied: it may wait. Its error ends the replay.
	Pace func(now int64) error
	// Damaged, if not nil, is told of n messages that cannot be read in the packet that begins at offset, bytes from the
	// beginning of the file. With n 0 nothing from there on can be read.
	Damaged func(offset int64, n uint64)
}

// Replay hands what a capture file holds to sink, as a Syncer did when it was recorded: events, dumps, losses, each with
// its time. It returns nil at the end of the file; the error wraps ErrMalformed or io.ErrUnexpectedEOF where the file is
// broken, after all before that was handed on.
func Replay(r io.Reader, sink Sink, opt ReplayOptions) error {
	c, err := newCaptureReader(r)
	if err != nil {
		return fmt.Errorf("ctnl: replay: %w", err)
	}
	if opt.Damaged == nil {
		opt.Damaged = func(int64, uint64) {}
	}
	c.short = func() { opt.Damaged(c.began, 1) }
	p := player{sink: sink, opt: opt, d: NewDecoder(), evs: make([]model.Event, 0, batchSize)}
	for {
		now, b, err := c.next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			p.endDump(p.last, false)
			return nil
		}
		if err != nil {
			p.endDump(p.last, false)
			if errors.Is(err, ErrMalformed) {
				opt.Damaged(c.began, 0)
			}
			return fmt.Errorf("ctnl: replay: %w", err)
		}
		if opt.Pace != nil && now != p.last {
			if err := opt.Pace(now); err != nil {
				return err
			}
		}
		p.last = now
		if bad := p.datagram(now, b); bad > 0 {
			opt.Damaged(c.began, bad)
		}
	}
}

// A player is a replay that runs.
type player struct {
	sink    Sink
	opt     ReplayOptions
	d       *Decoder
	evs     []model.Event
	expect  model.Expect
	dumping bool
	last    int64
}

// datagram plays one datagram and returns how many of its messages cannot be read.
func (p *player) datagram(now int64, b []byte) (bad uint64) {
	w := Walk{Rest: b}
	for len(w.Rest) > 0 {
		h, payload, ok := w.next()
		switch {
		case !ok:
			bad++
		case h.typ == markDump:
			p.flush(now)
			p.beginDump(now)
		case h.typ == markLost && len(payload) >= 8:
			p.flush(now)
			p.sink.Lost(now, binary.NativeEndian.Uint64(payload))
		case h.typ == unix.NLMSG_DONE, h.typ == unix.NLMSG_ERROR:
			p.flush(now)
			p.endDump(now, h.typ == unix.NLMSG_DONE && replyErrno(payload) == nil)
		case h.typ>>8 == subsysCT && !p.flow(now, h, payload):
			bad++
		case h.typ>>8 == subsysExp && p.opt.Expect != nil:
			if p.d.Expect(h.typ, h.flags, h.portid, payload, &p.expect) != nil {
				bad++
				continue
			}
			p.flush(now)
			p.opt.Expect(now, &p.expect)
		}
	}
	p.flush(now)
	if bad > 0 {
		p.sink.Refuse(0, bad)
	}
	return bad
}

// flow decodes a message into the batch. In captures of others nothing says that a dump begins but its first row.
func (p *player) flow(now int64, h header, payload []byte) bool {
	if typ := h.typ & 0xff; typ != ctNew && typ != ctDelete {
		return true // statistics
	}
	if len(p.evs) == cap(p.evs) {
		p.flush(now)
	}
	p.evs = p.evs[:len(p.evs)+1]
	e := &p.evs[len(p.evs)-1]
	if p.d.Message(now, h.typ, h.flags, h.portid, payload, e) != nil {
		p.evs = p.evs[:len(p.evs)-1]
		return false
	}
	if e.Kind == model.Dump && !p.dumping {
		p.beginDump(now)
	}
	return true
}

func (p *player) flush(now int64) {
	if len(p.evs) > 0 {
		p.sink.Apply(now, p.evs)
		p.evs = p.evs[:0]
	}
}

func (p *player) beginDump(now int64) {
	p.dumping = true
	p.sink.BeginDump(now)
}

func (p *player) endDump(now int64, complete bool) {
	if p.dumping {
		p.dumping = false
		p.sink.EndDump(now, complete)
	}
}
