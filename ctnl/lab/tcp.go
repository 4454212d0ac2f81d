package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"ctview/model"
)

// A Conn is a TCP connection through the router, made by real sockets. It is not safe for concurrent use. The context
// that it was opened with closes it.
type Conn struct {
	Key model.Key // as the router sees it

	lab  *Lab
	c    *net.TCPConn
	in   *bufio.Reader
	stop func() bool
}

// TCP opens a connection to port of the web server: 22, 25, 80, 443, 993, 5432 or 8080. When it returns, the router
// has seen the whole handshake.
func (l *Lab) TCP(ctx context.Context, f From, port uint16) (*Conn, error) {
	return l.tcp(ctx, l.client, l.host(f), netip.AddrPortFrom(webAddr[f.v()], port))
}

// DNAT opens a connection to port 80 of the address whose destination the router translates to port 8080 of the web
// server. From a zone besides 0 the source stays as it is; from zone 0 over IPv4 both ends are translated.
func (l *Lab) DNAT(ctx context.Context, f From) (*Conn, error) {
	return l.tcp(ctx, l.client, l.host(f), netip.AddrPortFrom(dnatAddr[f.v()], 80))
}

// NAT66 opens a connection to port 443 of the web server whose IPv6 source the router translates.
func (l *Lab) NAT66(ctx context.Context) (*Conn, error) {
	return l.tcp(ctx, l.client, natNet6.host(0), netip.AddrPortFrom(webAddr[1], 443))
}

// Inbound opens a connection from the server to the port that the router forwards to the client.
func (l *Lab) Inbound(ctx context.Context) (*Conn, error) {
	return l.tcp(ctx, l.server, farAddr[0], netip.MustParseAddrPort("192.0.2.1:2222"))
}

func (l *Lab) tcp(ctx context.Context, n *NS, from netip.Addr, to netip.AddrPort) (*Conn, error) {
	c, err := n.Dial(ctx, "tcp", at(from, 0), to.String())
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	t := c.(*net.TCPConn)
	conn := &Conn{Key: l.key(model.ProtoTCP, local(c), to), lab: l, c: t, in: bufio.NewReader(c)}
	conn.stop = context.AfterFunc(ctx, func() { _ = t.Close() })
	// One exchange, so that the client's last ACK of the handshake is certain to have passed too.
	if err := conn.Echo("hello"); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// Echo sends text and waits for it to come back.
func (c *Conn) Echo(text string) error {
	if _, err := fmt.Fprintf(c.c, "echo %s\n", text); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	got, err := c.in.ReadString('\n')
	if err == nil && got != text+"\n" {
		err = fmt.Errorf("echo of %q came back as %q", text, got)
	}
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return nil
}

// Download fetches n bytes at rate bytes a second; 0 is as fast as it goes. It returns when all have come.
func (c *Conn) Download(n, rate int) error {
	if _, err := fmt.Fprintf(c.c, "bulk %d %d\n", n, rate); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	if _, err := io.CopyN(io.Discard, c.in, int64(n)); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return nil
}

// HalfClose closes the client's half only: the router's state is CLOSE_WAIT when it returns, and stays that until
// Close, while the server keeps sending.
func (c *Conn) HalfClose(ctx context.Context) error {
	if _, err := io.WriteString(c.c, "hold\n"); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	if err := c.c.CloseWrite(); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return c.await(ctx, model.TCPCloseWait)
}

// Drain reads what the server of a half-closed connection sends, until ctx ends. The end of ctx is no error.
func (c *Conn) Drain(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = c.c.Close() })()
	_, err := io.Copy(io.Discard, c.in)
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Reset has the server reset the connection: the router's state is CLOSE when it returns.
func (c *Conn) Reset(ctx context.Context) error {
	if _, err := io.WriteString(c.c, "reset\n"); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	_, _ = io.Copy(io.Discard, c.in)
	return errors.Join(c.await(ctx, model.TCPClose), c.Close())
}

// Finish closes both halves in good order: the router's state is TIME_WAIT when it returns.
func (c *Conn) Finish(ctx context.Context) error {
	if err := c.c.CloseWrite(); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	_, _ = io.Copy(io.Discard, c.in)
	return errors.Join(c.await(ctx, model.TCPTimeWait), c.Close())
}

// Close closes the socket. A second Close does nothing.
func (c *Conn) Close() error {
	c.stop()
	if err := c.c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("lab: %w", err)
	}
	return nil
}

func (c *Conn) await(ctx context.Context, s model.State) error {
	return c.lab.Await(ctx, c.Key, func(f *model.Flow) bool { return f.State == s })
}

// DeadSYN sends a SYN to an address where nobody answers: the router has it as SYN_SENT, UNREPLIED, when DeadSYN
// returns. The socket is closed then.
func (l *Lab) DeadSYN(ctx context.Context, f From) (model.Key, error) {
	k, closer, err := l.connect(l.host(f), netip.AddrPortFrom(l.dead(f), 443))
	if err != nil {
		return k, err
	}
	return k, errors.Join(l.Await(ctx, k, nil), closer())
}

// connect starts to connect a TCP socket of the client's and does not wait for an answer.
func (l *Lab) connect(from netip.Addr, to netip.AddrPort) (k model.Key, closer func() error, err error) {
	fd := -1
	err = l.client.Do(func() error {
		family := unix.AF_INET
		if to.Addr().Is6() {
			family = unix.AF_INET6
		}
		if fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(from, 0))); err != nil {
			return err
		}
		if err := unix.Connect(fd, sockaddr(to)); err != unix.EINPROGRESS {
			return fmt.Errorf("connect: %w", err)
		}
		sa, err := unix.Getsockname(fd)
		k = l.key(model.ProtoTCP, netip.AddrPortFrom(from, sockPort(sa)), to)
		return err
	})
	closer = func() error { return unix.Close(fd) }
	if err != nil {
		_ = closer()
		return k, nil, fmt.Errorf("lab: %w", err)
	}
	return k, closer, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

func sockPort(sa unix.Sockaddr) uint16 {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(sa.Port)
	case *unix.SockaddrInet6:
		return uint16(sa.Port)
	}
	return 0
}
