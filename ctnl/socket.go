package ctnl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ctview/model/crash"
)

// past is a deadline that makes reads and writes that wait return at once.
var past = time.Unix(1, 0)

// A socket is a NETLINK_NETFILTER socket read with system calls of its own: mdlayher/netlink opens, binds and polls
// it, but its Receive allocates per message and hides the sender.
type socket struct {
	conn *netlink.Conn
	raw  syscall.RawConn
	pid  uint32
}

// dial opens a socket in ns.
func dial(ns *Netns) (*socket, error) {
	s := &socket{}
	err := ns.Do(func() (err error) {
		s.conn, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("socket: %w", errnoError(err))
	}
	s.pid = s.conn.PID()
	if s.raw, err = s.conn.SyscallConn(); err != nil {
		_ = s.conn.Close()
		return nil, fmt.Errorf("socket: %w", err)
	}
	return s, nil
}

func (s *socket) close() error { return s.conn.Close() }

// control runs fn on the descriptor.
func (s *socket) control(fn func(fd int) error) error {
	var err error
	if e := s.raw.Control(func(fd uintptr) { err = fn(int(fd)) }); e != nil {
		return e
	}
	return err
}

// setReadBuffer asks for a receive buffer of size bytes, beyond net.core.rmem_max where CAP_NET_ADMIN of the initial
// user namespace allows. It returns the size as the kernel counts it, twice what was asked for, and whether it was forced.
func (s *socket) setReadBuffer(size int) (stored int, forced bool, err error) {
	err = s.control(func(fd int) error {
		e := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
		if forced = e == nil; !forced {
			if e = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size); e != nil {
				return os.NewSyscallError("setsockopt", e)
			}
		}
		stored, e = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		return os.NewSyscallError("getsockopt", e)
	})
	return stored, forced, err
}

// memInfo is the answer to SO_MEMINFO (<linux/sock_diag.h>).
type memInfo [9]uint32

const (
	memRmemAlloc = 0 // SK_MEMINFO_RMEM_ALLOC: bytes charged for what is queued
	memDrops     = 8 // SK_MEMINFO_DROPS
)

// readMemInfo fills m without allocating and reports whether the kernel has it (4.12).
func readMemInfo(fd int, m *memInfo) bool {
	size := uint32(unsafe.Sizeof(*m))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(m)), uintptr(unsafe.Pointer(&size)), 0)
	return errno == 0 && size == uint32(unsafe.Sizeof(*m))
}

// cancelOn makes reads and writes of s return once ctx ends. stop ends that, waits for it and takes the deadline
// back, so that the socket can be used again.
func (s *socket) cancelOn(ctx context.Context) (stop func()) {
	done := make(chan struct{})
	stopFunc := context.AfterFunc(ctx, func() {
		defer crash.Guard()
		_ = s.conn.SetDeadline(past)
		close(done)
	})
	return func() {
		if !stopFunc() {
			<-done
		}
		_ = s.conn.SetDeadline(time.Time{})
	}
}

// await sets how long the next reads may wait in all, under cancelOn(ctx).
func (s *socket) await(ctx context.Context, d time.Duration) error {
	if err := s.conn.SetDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	return ctx.Err() // it may have ended before the deadline was set, and the past one is overwritten
}

// ctxError tells why a read that timed out did: the context's end, or a deadline.
func ctxError(ctx context.Context, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return fmt.Errorf("%w: %w", ErrTimeout, ctx.Err())
		case ctx.Err() != nil:
			return ctx.Err()
		}
		return ErrTimeout
	}
	return errnoError(err)
}

// A receiver reads single datagrams from a socket into one buffer, with their sender, without allocating.
type receiver struct {
	s    *socket
	hdr  unix.Msghdr
	iov  unix.Iovec
	from unix.RawSockaddrNetlink
	buf  []byte
	n    int
	errn unix.Errno
	read func(fd uintptr) bool // made once: a closure per call would be garbage
}

// newReceiver returns a receiver whose buffer is size bytes: the size decides how large a dump's datagrams are, so it
// must never be smaller than that of an earlier read on the socket (the kernel would cut them, netlink_dump).
func newReceiver(s *socket, size int) *receiver {
	r := &receiver{s: s, buf: make([]byte, size)}
	r.read = r.recvmsg
	return r
}

func (r *receiver) recvmsg(fd uintptr) bool {
	r.iov.Base = &r.buf[0]
	r.iov.SetLen(len(r.buf))
	r.hdr = unix.Msghdr{Iov: &r.iov, Name: (*byte)(unsafe.Pointer(&r.from)), Namelen: unix.SizeofSockaddrNetlink}
	r.hdr.SetIovlen(1)
	for {
		n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&r.hdr)), 0)
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		r.n, r.errn = int(n), errno
		return true
	}
}

// next waits for a datagram of the kernel and returns it; it is valid until the next call. Datagrams of anybody else
// are dropped. A cut one is an error: what it lost cannot be told.
func (r *receiver) next() ([]byte, error) {
	for {
		if err := r.s.raw.Read(r.read); err != nil {
			return nil, err
		}
		switch {
		case r.errn != 0:
			return nil, os.NewSyscallError("recvmsg", r.errn)
		case r.hdr.Flags&unix.MSG_TRUNC != 0:
			return nil, fmt.Errorf("%w: datagram cut", ErrMalformed)
		case r.from.Pid == 0:
			return r.buf[:r.n], nil
		}
	}
}

// send writes one datagram of requests to the kernel.
func (s *socket) send(b []byte) error {
	var err error
	to := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	e := s.raw.Write(func(fd uintptr) bool {
		for {
			err = unix.Sendto(int(fd), b, 0, to)
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	if e != nil {
		return e
	}
	return os.NewSyscallError("sendto", err)
}
