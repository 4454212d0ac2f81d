package fill

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"ctview/ctnl/lab"
)

// batch is how many messages go into one sendmsg.
const batch = 256

// A Filler sends requests to the conntrack of one namespace. It is not safe for concurrent use. Close it.
type Filler struct {
	fd   int
	buf  []byte
	recv []byte
}

// Open returns a Filler for n.
func Open(n *lab.NS) (*Filler, error) {
	f := &Filler{fd: -1, recv: make([]byte, 1<<16)}
	err := n.Do(func() (err error) {
		f.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fill: %w", err)
	}
	// Only errors are answered, each with the request that it is about. Without these two, many would be lost.
	_ = unix.SetsockoptInt(f.fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	_ = unix.SetsockoptInt(f.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	return f, nil
}

// Close closes the socket. The flows stay.
func (f *Filler) Close() error { return unix.Close(f.fd) }

// Create makes flows from to to-1. The first refusal ends it: unix.EEXIST where a flow is there already, unix.ENOMEM
// where nf_conntrack_max is reached (see RaiseMax).
func (f *Filler) Create(ctx context.Context, from, to int) error {
	if from < 0 || to > MaxFlow {
		return fmt.Errorf("fill: flows %d to %d: there are %d", from, to, MaxFlow)
	}
	return f.each(ctx, "create", from, to, create)
}

// Update gives flows from to to-1 a mark. Each makes the kernel send an UPDATE event.
func (f *Filler) Update(ctx context.Context, from, to int, mark uint32) error {
	return f.each(ctx, "update", from, to, func(b []byte, i int) []byte { return update(b, i, mark) })
}

// Destroy ends flows from to to-1. The first refusal ends it: unix.ENOENT where there is no such flow.
func (f *Filler) Destroy(ctx context.Context, from, to int) error {
	return f.each(ctx, "destroy", from, to, destroy)
}

// each sends one message for every number in [from, to), a batch at a time.
func (f *Filler) each(ctx context.Context, what string, from, to int, build func([]byte, int) []byte) error {
	for from < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		f.buf = f.buf[:0]
		for range min(batch, to-from) {
			f.buf = build(f.buf, from)
			from++
		}
		refused, err := f.flush()
		if err != nil {
			return fmt.Errorf("fill: %s: %w", what, err)
		}
		if refused > 0 {
			return fmt.Errorf("fill: %s: up to flow %d: %d refused, the last: %w", what, from-1, refused, f.lastRefusal())
		}
	}
	return nil
}

// flush sends the buffer. The kernel has done all of it when sendto returns, and what it refused is waiting to be read.
func (f *Filler) flush() (refused int, err error) {
	if len(f.buf) == 0 {
		return 0, nil
	}
	if err := unix.Sendto(f.fd, f.buf, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, err
	}
	for {
		n, _, err := unix.Recvfrom(f.fd, f.recv, 0)
		switch {
		case err == unix.EAGAIN:
			return refused, nil
		case err == unix.EINTR || err == unix.ENOBUFS: // more refusals than fit: those that did are enough
			continue
		case err != nil:
			return refused, err
		}
		refused += f.refusals(f.recv[:n])
	}
}

// refusals counts the error messages in b and keeps the last errno at the buffer's start for lastRefusal.
func (f *Filler) refusals(b []byte) (n int) {
	var last [4]byte
	for len(b) >= unix.NLMSG_HDRLEN+4 {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN+4 || size > len(b) {
			break
		}
		if binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR {
			copy(last[:], b[unix.NLMSG_HDRLEN:])
			n++
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	copy(f.recv, last[:])
	return n
}

func (f *Filler) lastRefusal() error {
	errno := -int32(binary.NativeEndian.Uint32(f.recv))
	if errno <= 0 {
		return errors.New("unknown error")
	}
	return unix.Errno(errno)
}
