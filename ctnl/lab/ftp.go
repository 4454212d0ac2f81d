package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"ctview/model"
)

// An FTP is a session with the FTP server: a control connection that the kernel's ftp helper reads, and data
// connections that it therefore expects. It is not safe for concurrent use.
type FTP struct {
	Key model.Key // of the control connection

	lab  *Lab
	from From
	c    net.Conn
	in   *bufio.Reader
	stop func() bool
}

// FTP opens a control connection and logs in. The context closes it. When FTP returns, the router's flow has the helper
// ftp, MarkFTP and LabelFTP.
func (l *Lab) FTP(ctx context.Context, f From) (*FTP, error) {
	to := netip.AddrPortFrom(ftpAddr[f.v()], 21)
	c, err := l.client.Dial(ctx, "tcp", at(l.host(f), 0), to.String())
	if err != nil {
		return nil, fmt.Errorf("lab: ftp: %w", err)
	}
	s := &FTP{Key: l.key(model.ProtoTCP, local(c), to), lab: l, from: f, c: c, in: bufio.NewReader(c)}
	s.stop = context.AfterFunc(ctx, func() { _ = c.Close() })
	if _, err = s.reply(); err == nil {
		_, err = s.do("USER anonymous", "PASS lab@example.org", "TYPE I")
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// do sends commands, waits for the reply to each, and returns the last.
func (s *FTP) do(cmds ...string) (last string, err error) {
	for _, cmd := range cmds {
		if _, err := io.WriteString(s.c, cmd+"\r\n"); err != nil {
			return "", fmt.Errorf("lab: ftp: %w", err)
		}
		if last, err = s.reply(); err != nil {
			return "", err
		}
	}
	return last, nil
}

// reply reads a reply; one that says no is an error.
func (s *FTP) reply() (string, error) {
	line, err := s.in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("lab: ftp: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" || line[0] > '3' {
		return "", fmt.Errorf("lab: ftp: server says %q", line)
	}
	return line, nil
}

// Noop has the server say something, to keep the control connection busy.
func (s *FTP) Noop() error {
	_, err := s.do("NOOP")
	return err
}

// Expect asks for a passive data connection and does not open it: the router has an expectation of one to the address
// returned, for five minutes or until the control connection's flow ends.
func (s *FTP) Expect() (netip.AddrPort, error) {
	cmd := "PASV"
	if s.from.V6 {
		cmd = "EPSV"
	}
	line, err := s.do(cmd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return parsePassive(line, ftpAddr[s.from.v()])
}

// Get fetches n bytes at rate bytes a second over a passive or an active data connection. The data connection is over
// when it returns; its flow, EXPECTED by the control connection's, is in TIME_WAIT.
func (s *FTP) Get(ctx context.Context, active bool, n, rate int) (data model.Key, err error) {
	open := s.passive
	if active {
		open = s.active
	}
	dial, closer, err := open(ctx)
	if err != nil {
		return data, err
	}
	defer closer()
	line, err := s.do(fmt.Sprintf("RETR %d %d", n, rate))
	if err != nil {
		return data, err
	}
	c, data, err := dial(line)
	if err != nil {
		return data, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if got, err := io.Copy(io.Discard, c); err != nil {
		return data, fmt.Errorf("lab: ftp: %w", err)
	} else if got != int64(n) {
		return data, fmt.Errorf("lab: ftp: %d bytes of %d came", got, n)
	}
	_ = c.Close()
	if _, err := s.reply(); err != nil {
		return data, err
	}
	return data, s.lab.Await(ctx, data, func(f *model.Flow) bool { return f.State == model.TCPTimeWait })
}

// A dialer gives the data connection and its key when the server has said, in line, that it opens it.
type dialer func(line string) (net.Conn, model.Key, error)

// passive connects to where the server listens, before the transfer is asked for.
func (s *FTP) passive(ctx context.Context) (d dialer, closer func(), err error) {
	to, err := s.Expect()
	if err != nil {
		return nil, nil, err
	}
	c, err := s.lab.client.Dial(ctx, "tcp", at(local(s.c).Addr(), 0), to.String())
	if err != nil {
		return nil, nil, fmt.Errorf("lab: ftp: %w", err)
	}
	d = func(string) (net.Conn, model.Key, error) { return c, s.lab.key(model.ProtoTCP, local(c), to), nil }
	return d, func() { _ = c.Close() }, nil
}

// active listens for the server, which names the ends as it sees them in its reply to RETR: behind a translated source
// those are not the client's.
func (s *FTP) active(ctx context.Context) (d dialer, closer func(), err error) {
	ln, err := s.lab.client.Listen("tcp", at(local(s.c).Addr(), 0))
	if err != nil {
		return nil, nil, fmt.Errorf("lab: ftp: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	closer = func() { stop(); _ = ln.Close() }
	if _, err := s.do(portCommand(addrPort(ln.Addr()))); err != nil {
		closer()
		return nil, nil, err
	}
	d = func(line string) (net.Conn, model.Key, error) {
		from, to, _ := strings.Cut(strings.TrimPrefix(line, "150 "), " ")
		src, err := netip.ParseAddrPort(from)
		dst, err2 := netip.ParseAddrPort(to)
		if err := errors.Join(err, err2); err != nil {
			return nil, model.Key{}, fmt.Errorf("lab: ftp: server says %q: %w", line, err)
		}
		c, err := ln.Accept()
		if err != nil {
			return nil, model.Key{}, fmt.Errorf("lab: ftp: %w", err)
		}
		k := s.lab.key(model.ProtoTCP, src, dst)
		k.Zone = s.Key.Zone
		return c, k, nil
	}
	return d, closer, nil
}

// Lost opens a passive data connection to a port where the server's own firewall drops everything: the flow stays
// SYN_SENT, UNREPLIED and EXPECTED, which is what nft's "ct state related" means, until its timeout.
func (s *FTP) Lost(ctx context.Context) (model.Key, error) {
	if _, err := s.do("SITE LOST"); err != nil {
		return model.Key{}, err
	}
	to, err := s.Expect()
	if err != nil {
		return model.Key{}, err
	}
	k, closer, err := s.lab.connect(local(s.c).Addr(), to)
	if err != nil {
		return k, err
	}
	err = s.lab.Await(ctx, k, func(f *model.Flow) bool { return f.Status.Has(model.StatusExpected) })
	return k, errors.Join(err, closer())
}

// Close logs out and closes the control connection.
func (s *FTP) Close() error {
	s.stop()
	_, _ = io.WriteString(s.c, "QUIT\r\n")
	if err := s.c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("lab: ftp: %w", err)
	}
	return nil
}
