package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// lostPort is where passive data connections are asked to after SITE LOST: the server's firewall drops what comes.
const lostPort = 60021

// An ftpConn is the server's side of a control connection (RFC 959, RFC 2428): as much of FTP as the lab's client
// speaks.
type ftpConn struct {
	lab    *Lab
	c      *net.TCPConn
	lost   bool            // the next passive port is lostPort
	ln     net.Listener    // passive: where the data connection comes in
	active netip.AddrPort  // active: where it goes
	ctx    context.Context // ends with the lab
}

func (l *Lab) serveFTP(ctx context.Context, c *net.TCPConn) {
	f := &ftpConn{lab: l, c: c, ctx: ctx}
	defer f.forget()
	_, _ = io.WriteString(c, "220 ctview lab\r\n")
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		word, arg, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if _, err := io.WriteString(c, f.command(word, arg)+"\r\n"); err != nil || word == "QUIT" {
			return
		}
	}
}

// forget drops what PASV or PORT prepared.
func (f *ftpConn) forget() {
	if f.ln != nil {
		_ = f.ln.Close()
	}
	f.ln, f.active = nil, netip.AddrPort{}
}

// command obeys one command and returns the reply.
func (f *ftpConn) command(word, arg string) string {
	switch word {
	case "USER":
		return "331 any password will do"
	case "PASS":
		return "230 welcome"
	case "TYPE", "NOOP":
		return "200 ok"
	case "SITE":
		f.lost = true
		return "200 the next passive port will be lost"
	case "PASV", "EPSV":
		return f.passive(word)
	case "PORT", "EPRT":
		to, err := parsePort(word, arg)
		if err != nil {
			return "501 " + err.Error()
		}
		f.forget()
		f.active = to
		return "200 ok"
	case "RETR":
		return f.retrieve(arg)
	case "QUIT":
		return "221 bye"
	}
	return "502 not here"
}

func (f *ftpConn) passive(word string) string {
	f.forget()
	here := netip.AddrPortFrom(local(f.c).Addr().Unmap(), lostPort)
	if !f.lost {
		ln, err := f.lab.server.Listen("tcp", at(here.Addr(), 0))
		if err != nil {
			return "425 " + err.Error()
		}
		f.ln, here = ln, addrPort(ln.Addr())
	}
	f.lost = false
	if word == "EPSV" {
		return fmt.Sprintf("229 Entering Extended Passive Mode (|||%d|)", here.Port())
	}
	return fmt.Sprintf("227 Entering Passive Mode (%s)", commas(here))
}

// retrieve sends as many bytes as arg says, at a rate: "RETR N RATE".
func (f *ftpConn) retrieve(arg string) string {
	n, rate, _ := strings.Cut(arg, " ")
	c, err := f.data()
	if err != nil {
		return "425 " + err.Error()
	}
	defer f.forget()
	defer c.Close()
	defer context.AfterFunc(f.ctx, func() { _ = c.Close() })()
	if _, err := fmt.Fprintf(f.c, "150 %s %s\r\n", local(c), remote(c)); err != nil {
		return "426 " + err.Error()
	}
	if err := bulk(f.ctx, c, atoi(n), atoi(rate)); err != nil {
		return "426 " + err.Error()
	}
	return "226 that was all"
}

// data opens the data connection.
func (f *ftpConn) data() (net.Conn, error) {
	if ln := f.ln; ln != nil {
		defer context.AfterFunc(f.ctx, func() { _ = ln.Close() })()
		return ln.Accept()
	}
	return f.lab.server.Dial(f.ctx, "tcp", at(local(f.c).Addr().Unmap(), 0), f.active.String())
}

// commas returns an IPv4 address and port as PORT and PASV write them: h1,h2,h3,h4,p1,p2.
func commas(a netip.AddrPort) string {
	return fmt.Sprintf("%s,%d,%d", strings.ReplaceAll(a.Addr().String(), ".", ","), a.Port()>>8, a.Port()&0xff)
}

// portCommand returns the command that asks the server to connect to a.
func portCommand(a netip.AddrPort) string {
	if a.Addr().Is6() {
		return fmt.Sprintf("EPRT |2|%s|%d|", a.Addr(), a.Port())
	}
	return "PORT " + commas(a)
}

func parsePort(word, arg string) (netip.AddrPort, error) {
	if word == "PORT" {
		return parseCommas(arg)
	}
	if p := strings.Split(arg, "|"); len(p) == 5 {
		return netip.ParseAddrPort(net.JoinHostPort(p[2], p[3]))
	}
	return netip.AddrPort{}, fmt.Errorf("%q is not |af|address|port|", arg)
}

func parseCommas(s string) (netip.AddrPort, error) {
	p := strings.Split(s, ",")
	if len(p) != 6 {
		return netip.AddrPort{}, fmt.Errorf("%q is not h1,h2,h3,h4,p1,p2", s)
	}
	a, err := netip.ParseAddr(strings.Join(p[:4], "."))
	if err != nil || !a.Is4() {
		return netip.AddrPort{}, fmt.Errorf("%q is not an address", p[:4])
	}
	hi, err := strconv.ParseUint(p[4], 10, 8)
	if err != nil {
		return netip.AddrPort{}, err
	}
	lo, err := strconv.ParseUint(p[5], 10, 8)
	return netip.AddrPortFrom(a, uint16(hi<<8|lo)), err
}

// parsePassive reads where the server listens from its reply to PASV or EPSV; EPSV means the server's own address.
func parsePassive(line string, server netip.Addr) (netip.AddrPort, error) {
	_, s, _ := strings.Cut(line, "(")
	s = strings.TrimSuffix(s, ")")
	if strings.HasPrefix(line, "227") {
		return parseCommas(s)
	}
	port, err := strconv.ParseUint(strings.Trim(s, "|"), 10, 16)
	return netip.AddrPortFrom(server, uint16(port)), err
}
