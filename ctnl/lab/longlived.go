package lab

import (
	"context"
	"time"
)

// longJobs are the flows that stay: each runs again when it has ended, whatever the rate.
func (l *Lab) longJobs() []job {
	a, b := l.zones[0], l.zones[1]
	fetch := func(open func(context.Context) (*Conn, error), n, rate int) job {
		return job{0, func(ctx context.Context, _ int) error {
			c, err := open(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.Download(n, rate); err != nil {
				return err
			}
			return c.Finish(ctx)
		}}
	}
	web := func(f From, port uint16) func(context.Context) (*Conn, error) {
		return func(ctx context.Context) (*Conn, error) { return l.TCP(ctx, f, port) }
	}
	stream := func(f From, n, size int, interval time.Duration) job {
		return job{0, func(ctx context.Context, _ int) error { return second(l.UDPStream(ctx, f, n, size, interval)) }}
	}
	return []job{
		fetch(web(From{}, 443), 60<<20, 900_000),
		fetch(web(From{V6: true}, 443), 20<<20, 250_000),
		fetch(web(From{Zone: a}, 8080), 30<<20, 400_000),
		fetch(web(From{V6: true, Zone: b}, 443), 3<<20, 40_000),
		fetch(func(ctx context.Context) (*Conn, error) { return l.DNAT(ctx, From{Zone: b}) }, 10<<20, 130_000),
		fetch(func(ctx context.Context) (*Conn, error) { return l.DNAT(ctx, From{V6: true}) }, 4<<20, 70_000),
		l.typing(web(From{}, 22), time.Second),
		l.typing(web(From{Zone: a}, 993), 4*time.Second),
		l.typing(web(From{V6: true, Zone: a}, 5432), 3*time.Second),
		l.typing(l.Inbound, 2*time.Second),
		stream(From{}, 300, 1200, 100*time.Millisecond),
		stream(From{Zone: b}, 100, 160, 300*time.Millisecond),
		stream(From{V6: true}, 200, 500, 200*time.Millisecond),
		{0, l.keptFTP},
		{0, l.longFTP},
	}
}

// typing is a connection on which a little is said now and then, for a minute or two.
func (l *Lab) typing(open func(context.Context) (*Conn, error), pause time.Duration) job {
	return job{0, func(ctx context.Context, _ int) error {
		c, err := open(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		for range 40 + l.pick(80) {
			if err := sleep(ctx, pause); err != nil {
				return err
			}
			if err := c.Echo("a line of text that somebody might have typed"); err != nil {
				return err
			}
		}
		return c.Finish(ctx)
	}}
}

// keptFTP is a session that stays open for five minutes, with an expectation pending all the time and now and then a
// data connection that never comes through.
func (l *Lab) keptFTP(ctx context.Context, i int) error {
	s, err := l.FTP(ctx, family(i))
	if err != nil {
		return err
	}
	defer s.Close()
	for range 15 {
		if _, err := s.Lost(ctx); err != nil {
			return err
		}
		if _, err := s.Expect(); err != nil {
			return err
		}
		for range 4 {
			if err := sleep(ctx, 5*time.Second); err != nil {
				return err
			}
			if err := s.Noop(); err != nil {
				return err
			}
		}
	}
	return nil
}

// longFTP fetches for half a minute at a time, so that a RELATED flow with moving counters can always be seen.
func (l *Lab) longFTP(ctx context.Context, i int) error {
	s, err := l.FTP(ctx, l.rota(i))
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Get(ctx, i%2 == 1, 3_000_000, 100_000)
	return err
}
