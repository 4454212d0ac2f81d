package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"ctview/model/crash"
)

// The ports that the servers listen on, on every address. All TCP ports but 21 speak the same words (see serveTCP).
var (
	tcpPorts  = []uint16{22, 25, 80, 443, 993, 5432, 8080}
	echoPorts = []uint16{443, 5060, 51820} // UDP, sends back what it gets
	sinkPorts = []uint16{514, UntrackedPort}
)

// serve opens the servers' sockets and starts their goroutines. ctx ends them.
func (l *Lab) serve(ctx context.Context) error {
	for _, p := range tcpPorts {
		if err := l.tcpServer(ctx, l.server, p, serveTCP); err != nil {
			return err
		}
	}
	if err := l.tcpServer(ctx, l.client, 22, serveTCP); err != nil { // behind the port forward
		return err
	}
	if err := l.tcpServer(ctx, l.server, 21, l.serveFTP); err != nil {
		return err
	}
	if err := l.udpServer(ctx, 53, dnsAnswer); err != nil {
		return err
	}
	for _, p := range echoPorts {
		if err := l.udpServer(ctx, p, func(q []byte) []byte { return q }); err != nil {
			return err
		}
	}
	for _, p := range sinkPorts {
		if err := l.udpServer(ctx, p, func([]byte) []byte { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// tcpServer accepts connections to port on all addresses of n. A connection is closed when handle returns or ctx ends.
func (l *Lab) tcpServer(ctx context.Context, n *NS, port uint16, handle func(context.Context, *net.TCPConn)) error {
	ln, err := n.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = ln.Close() })
	l.wg.Go(func() {
		defer crash.Guard()
		for {
			c, err := ln.Accept()
			if err != nil {
				if errors.Is(err, net.ErrClosed) {
					return
				}
				time.Sleep(10 * time.Millisecond) // out of descriptors: wait for some to be closed
				continue
			}
			l.wg.Go(func() {
				defer crash.Guard()
				defer c.Close()
				defer context.AfterFunc(ctx, func() { _ = c.Close() })()
				handle(ctx, c.(*net.TCPConn))
			})
		}
	})
	return nil
}

// udpServer answers datagrams to port with what answer makes of them; nil is no answer. A socket for each address, or
// the answers would come from the wrong one.
func (l *Lab) udpServer(ctx context.Context, port uint16, answer func([]byte) []byte) error {
	for _, a := range []netip.Addr{dnsAddr[0], farAddr[0], webAddr[0], ftpAddr[0], webAddr[1], ftpAddr[1], dnsAddr[1]} {
		c, err := l.server.ListenPacket("udp", netip.AddrPortFrom(a, port).String())
		if err != nil {
			return fmt.Errorf("lab: %w", err)
		}
		context.AfterFunc(ctx, func() { _ = c.Close() })
		l.wg.Go(func() {
			defer crash.Guard()
			buf := make([]byte, 1<<16)
			for {
				n, from, err := c.ReadFrom(buf)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if a := answer(buf[:n]); err == nil && a != nil {
					_, _ = c.WriteTo(a, from)
				}
			}
		})
	}
	return nil
}

// serveTCP obeys the lines that the client sends:
//
//	echo TEXT       sends TEXT back
//	bulk N RATE     sends N bytes, RATE a second (0: as fast as it goes)
//	hold            waits for the client's FIN, then keeps its own side open until the client is gone
//	reset           resets the connection
//	quit            closes it
func serveTCP(ctx context.Context, c *net.TCPConn) {
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch word {
		case "echo":
			_, err = io.WriteString(c, rest+"\n")
		case "bulk":
			n, rate, _ := strings.Cut(rest, " ")
			err = bulk(ctx, c, atoi(n), atoi(rate))
		case "hold":
			hold(ctx, c, in)
			return
		case "reset":
			_ = c.SetLinger(0)
			return
		default:
			return
		}
		if err != nil {
			return
		}
	}
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// hold reads to the peer's FIN and says so with one line, so that the peer knows that its half is closed. Then it
// keeps the other half open until the peer resets or ctx ends.
func hold(ctx context.Context, c *net.TCPConn, in *bufio.Reader) {
	if _, err := io.Copy(io.Discard, in); err != nil {
		return
	}
	for {
		if _, err := io.WriteString(c, "half\n"); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Second):
		}
	}
}

// bulk writes n bytes, rate a second in ten portions.
func bulk(ctx context.Context, w io.Writer, n, rate int) error {
	chunk := make([]byte, 1<<16)
	portion := len(chunk)
	if rate > 0 {
		portion = max(1, rate/10)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n > 0 {
		for left := min(n, portion); left > 0; {
			m, err := w.Write(chunk[:min(left, len(chunk))])
			if err != nil {
				return err
			}
			left, n = left-m, n-m
		}
		if rate == 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// dnsAnswer turns a query into an answer with one A record, 192.0.2.53.
func dnsAnswer(q []byte) []byte {
	if len(q) < 12 {
		return nil
	}
	a := append([]byte(nil), q...)
	a[2] |= 0x80 // QR: a response
	a[7] = 1     // one answer
	return append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53)
}

// dnsQuery asks for the A record of name.
func dnsQuery(id uint16, name string) []byte {
	q := []byte{byte(id >> 8), byte(id), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for part := range strings.SplitSeq(name, ".") {
		q = append(append(q, byte(len(part))), part...)
	}
	return append(q, 0, 0, 1, 0, 1)
}
