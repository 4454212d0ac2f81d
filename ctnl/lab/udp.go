package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"ctview/model"
)

// DNS asks the name server for an address and waits for the answer: the router has the flow with SEEN_REPLY.
func (l *Lab) DNS(ctx context.Context, f From) (model.Key, error) {
	c, k, err := l.udp(ctx, f, netip.AddrPortFrom(dnsAddr[f.v()], 53))
	if err != nil {
		return k, err
	}
	defer c.Close()
	names := []string{"example.org", "www.example.com", "ctview.example.net", "mail.example.org"}
	return k, exchange(c, dnsQuery(l.nextPort(), names[l.pick(len(names))]))
}

// UDPStream exchanges n datagrams of size bytes with the server's port 443, one each interval. The router's flow gets
// ASSURED when that lasts for more than two seconds.
func (l *Lab) UDPStream(ctx context.Context, f From, n, size int, interval time.Duration) (model.Key, error) {
	c, k, err := l.udp(ctx, f, netip.AddrPortFrom(farAddr[f.v()], 443))
	if err != nil {
		return k, err
	}
	defer c.Close()
	b := make([]byte, size)
	for i := range n {
		if i > 0 {
			if err := sleep(ctx, interval); err != nil {
				return k, err
			}
		}
		if err := exchange(c, b); err != nil {
			return k, err
		}
	}
	return k, nil
}

// OneWay sends a datagram that is never answered: the router has the flow, UNREPLIED, when it returns.
func (l *Lab) OneWay(ctx context.Context, f From) (model.Key, error) {
	c, k, err := l.udp(ctx, f, netip.AddrPortFrom(webAddr[f.v()], 514))
	if err != nil {
		return k, err
	}
	_, err = c.Write([]byte("<14>lab: a message that nobody answers"))
	return k, errors.Join(err, l.Await(ctx, k, nil), c.Close())
}

// Refused sends a datagram to a port without a server: what comes back is an ICMP error, whose packets are RELATED and
// which has no flow of its own.
func (l *Lab) Refused(ctx context.Context, f From) (model.Key, error) {
	c, k, err := l.udp(ctx, f, netip.AddrPortFrom(webAddr[f.v()], 7))
	if err != nil {
		return k, err
	}
	defer c.Close()
	if err := exchange(c, []byte("?")); !errors.Is(err, unix.ECONNREFUSED) {
		return k, fmt.Errorf("lab: datagram to a closed port: %v; want ECONNREFUSED", err)
	}
	return k, nil
}

// Untracked sends a datagram that the router's rules exempt from tracking. It returns when the router has counted it.
func (l *Lab) Untracked(ctx context.Context, f From) error {
	c, _, err := l.udp(ctx, f, netip.AddrPortFrom(webAddr[f.v()], UntrackedPort))
	if err != nil {
		return err
	}
	defer c.Close()
	return l.awaitCount(ctx, "untracked", func() error {
		_, err := c.Write([]byte("untracked"))
		return err
	})
}

// awaitCount runs send and returns when the router's named counter has grown.
func (l *Lab) awaitCount(ctx context.Context, counter string, send func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	before, err := l.counted(counter)
	if err != nil {
		return err
	}
	if err := send(); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 20*time.Millisecond) {
		now, err := l.counted(counter)
		if err != nil || now > before {
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("lab: router: no %s packet was counted: %w", counter, err)
		}
	}
}

// udp opens a connected socket from one of f's hosts.
func (l *Lab) udp(ctx context.Context, f From, to netip.AddrPort) (net.Conn, model.Key, error) {
	c, err := l.client.Dial(ctx, "udp", at(l.host(f), 0), to.String())
	if err != nil {
		return nil, model.Key{}, fmt.Errorf("lab: %w", err)
	}
	return c, l.key(model.ProtoUDP, local(c), to), nil
}

// exchange sends b and waits for an answer, three seconds at most.
func exchange(c net.Conn, b []byte) error {
	if err := c.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	if _, err := c.Write(b); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	if _, err := c.Read(make([]byte, 2048)); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
