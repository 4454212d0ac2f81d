package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// probeTime is how long after the first templates an ICMP error may come before a collector over UDP is taken to be there.
	probeTime = 300 * time.Millisecond
	// flightTime is for how long a message over UDP is remembered, of which an ICMP error may tell, and flightMost how many are; over TCP
	// the last is then remembered as one with those behind it.
	flightTime = 3 * time.Second
	flightMost = 1 << 14
	// stallTime is after how long without a byte taken a collector over TCP is told as one that does not read. It is waited for as
	// long as the connection lasts: one that is given up loses what is on its way.
	stallTime = 5 * time.Second
)

// A load is what records tell of.
type load struct{ flows, packets, bytes uint64 }

func (l *load) add(m load) {
	l.flows += m.flows
	l.packets += m.packets
	l.bytes += m.bytes
}

// A session is a transport session with a collector (RFC 7011 section 10), and what of it may still be lost. Not safe for concurrent
// use.
type session struct {
	conn    net.Conn
	raw     syscall.RawConn
	tcp     bool
	domain  uint32
	flight  []message // sent, and not known to have arrived; the oldest first
	written uint64    // bytes, over TCP
}

// A message is one that was sent.
type message struct {
	sequence uint32 // of its first record
	end      uint64 // over TCP: bytes that were written when it had been
	at       time.Time
	load     load
}

// dial begins a session; network is udp or tcp.
func dial(ctx context.Context, network, addr string, domain uint32) (*session, error) {
	d := net.Dialer{Timeout: dialTime}
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	x := &session{conn: conn, tcp: network == "tcp", domain: domain}
	if x.raw, err = conn.(syscall.Conn).SyscallConn(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if !x.tcp {
		// Every ICMP error is told with the message that it is about; without, the last alone, and not that a host is unreachable.
		_ = x.control(func(fd int) error {
			_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVERR, 1) // one of the two is the socket's family
			return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVERR, 1)
		})
	}
	return x, nil
}

func (x *session) control(fn func(fd int) error) error {
	var err error
	return errors.Join(x.raw.Control(func(fd uintptr) { err = fn(int(fd)) }), err)
}

// send writes one message. Over TCP it waits until the collector takes it or ctx ends; stalled is called when that takes long.
func (x *session) send(ctx context.Context, b []byte, stalled func()) error {
	for waited := time.Duration(0); ; {
		if err := x.conn.SetWriteDeadline(time.Now().Add(stallTime / 5)); err != nil {
			return err
		}
		n, err := x.conn.Write(b)
		x.written += uint64(n)
		b = b[n:]
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil:
			return err
		}
		if waited += stallTime / 5; n > 0 {
			waited = 0
		} else if waited == stallTime {
			stalled()
		}
	}
}

// sent says that the message that was written has such records, the first of them with such a number.
func (x *session) sent(sequence uint32, l load) {
	if n := len(x.flight); n == flightMost && x.tcp {
		last := &x.flight[n-1]
		last.end = x.written
		last.load.add(l)
		return
	} else if n == flightMost {
		x.flight = x.flight[1:]
	}
	x.flight = append(x.flight, message{sequence, x.written, time.Now(), l})
}

// check forgets what has arrived, or may have, and returns what did not as far as the network tells it; the error says that the session
// is over.
func (x *session) check() (lost load, err error) {
	if x.tcp {
		x.acknowledged()
		return lost, x.hangup()
	}
	for len(x.flight) > 0 && time.Since(x.flight[0].at) > flightTime {
		x.flight = x.flight[1:]
	}
	for {
		first, errno := x.refusal()
		if errno == 0 {
			return lost, err
		}
		err = fmt.Errorf("send: %w", errno)
		lost.add(x.from(first))
	}
}

// from takes the messages from the one with that number on out of flight: where one met a closed port those behind it did, too.
func (x *session) from(sequence uint32) (all load) {
	n := len(x.flight)
	for n > 0 && int32(x.flight[n-1].sequence-sequence) >= 0 {
		n--
		all.add(x.flight[n].load)
	}
	x.flight = x.flight[:n]
	return all
}

// acknowledged forgets what the collector's kernel has.
func (x *session) acknowledged() {
	unsent := 0
	if x.control(func(fd int) (err error) {
		unsent, err = unix.IoctlGetInt(fd, unix.TIOCOUTQ)
		return err
	}) != nil {
		return
	}
	for len(x.flight) > 0 && x.flight[0].end+uint64(unsent) <= x.written {
		x.flight = x.flight[1:]
	}
}

// hangup reports that the collector has closed the connection, which a write would learn from the answer to what it lost. A
// collector says nothing else: what comes is thrown away.
func (x *session) hangup() error {
	var b [512]byte
	for {
		var n int
		err := x.control(func(fd int) (err error) {
			n, _, err = unix.Recvfrom(fd, b[:], unix.MSG_DONTWAIT)
			return err
		})
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return fmt.Errorf("the collector has closed the connection: %w", io.EOF)
		}
	}
}

// close ends the session. With broken what was on its way is thrown away and returned; else the kernel sends it on.
func (x *session) close(broken bool) (lost load) {
	if x.tcp && broken {
		x.acknowledged()
		for i := range x.flight {
			lost.add(x.flight[i].load)
		}
		_ = x.conn.(*net.TCPConn).SetLinger(0) // what is told as lost must not arrive later
	}
	_ = x.conn.Close()
	return lost
}

// refusal takes an ICMP error: its errno, and the sequence number of the message that it is about; the last one's where the error does
// not quote it.
func (x *session) refusal() (first uint32, errno unix.Errno) {
	var b [64]byte
	var oob [256]byte
	n, oobn := 0, 0
	err := x.control(func(fd int) (err error) {
		n, oobn, _, _, err = unix.Recvmsg(fd, b[:], oob[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		return err
	})
	if err != nil {
		return 0, 0
	}
	errno = unix.EIO
	if all, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil {
		for _, m := range all {
			if len(m.Data) >= int(unsafe.Sizeof(unix.SockExtendedErr{})) && (m.Header.Type == unix.IP_RECVERR || m.Header.Type == unix.IPV6_RECVERR) {
				errno = unix.Errno(binary.NativeEndian.Uint32(m.Data))
			}
		}
	}
	if len(x.flight) > 0 {
		first = x.flight[len(x.flight)-1].sequence
	}
	be := binary.BigEndian
	if n >= 16 && be.Uint16(b[:]) == 10 && be.Uint32(b[12:]) == x.domain {
		first = be.Uint32(b[8:])
	}
	return first, errno
}
