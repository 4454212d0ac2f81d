package lab

import (
	"context"
	"sync"
	"time"

	"ctview/model"
	"ctview/model/crash"
)

// A job is one strand of the traffic. run gets the number of times that the job has run before, for rotas.
type job struct {
	every time.Duration // between starts at rate 1; 0: again when it has ended, whatever the rate
	run   func(ctx context.Context, i int) error
}

// patience is how long a job may take before it is given up: its flow may have been deleted, or a rule of the user's
// be in the way.
const patience = 10 * time.Minute

// maxBusy bounds the jobs in flight; a start that finds more of them is left out.
const maxBusy = 2000

// Run makes traffic until ctx ends or Close is called, then returns nil. What fails, because the user deleted its flow or set a rule
// against it, is counted (see Failures) and tried again.
func (l *Lab) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	l.wg.Add(1)
	defer l.wg.Done()
	var wg sync.WaitGroup
	busy := make(chan struct{}, maxBusy)
	for _, j := range l.jobs() {
		wg.Go(func() {
			defer crash.Guard()
			if j.every == 0 {
				for i := 0; ctx.Err() == nil; i++ {
					if !l.do(ctx, j, i) {
						_ = sleep(ctx, time.Second)
					}
				}
				return
			}
			tick := time.NewTicker(max(time.Millisecond, time.Duration(float64(j.every)/l.rate)))
			defer tick.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				select {
				case busy <- struct{}{}:
					wg.Go(func() {
						defer crash.Guard()
						l.do(ctx, j, i)
						<-busy
					})
				default:
				}
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// do runs a job once and reports whether it went well. Errors after the end of ctx are the end's doing.
func (l *Lab) do(ctx context.Context, j job, i int) bool {
	sub, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := j.run(sub, i)
	if err == nil || ctx.Err() != nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures, l.failure = l.failures+1, err
	return false
}

// Failures returns how many pieces of Run's traffic failed, and the last error.
func (l *Lab) Failures() (n uint64, last error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failures, l.failure
}

// rota returns the i-th kind of start: half of them in zone 0 over IPv4, the rest spread over families and zones.
func (l *Lab) rota(i int) From {
	a, b := l.zones[0], l.zones[1]
	all := [...]From{{}, {Zone: a}, {}, {V6: true}, {}, {Zone: b}, {}, {V6: true, Zone: a}, {}, {V6: true, Zone: b}}
	return all[i%len(all)]
}

// family alternates between IPv4 and IPv6 in zone 0.
func family(i int) From { return From{V6: i%2 == 1} }

// lingering are the states that crafted flows are left in, in turn: those that real hosts pass through in no time.
var lingering = []model.State{model.TCPSynRecv, model.TCPFinWait, model.TCPLastAck, model.TCPSynSent2}

func (l *Lab) jobs() []job {
	return append(l.longJobs(), []job{
		{250 * time.Millisecond, l.shortTCP},
		{400 * time.Millisecond, func(ctx context.Context, i int) error { return second(l.DNS(ctx, l.rota(i))) }},
		{2500 * time.Millisecond, func(ctx context.Context, i int) error { return second(l.DeadSYN(ctx, l.rota(i))) }},
		{3 * time.Second, func(ctx context.Context, i int) error { return second(l.OneWay(ctx, l.rota(i))) }},
		{5 * time.Second, func(ctx context.Context, i int) error { return second(l.Refused(ctx, l.rota(i))) }},
		{3 * time.Second, func(ctx context.Context, i int) error {
			return second(l.Ping(ctx, family(i), 4, 500*time.Millisecond))
		}},
		{2 * time.Second, func(ctx context.Context, i int) error {
			return second(l.State(ctx, family(i/len(lingering)), lingering[i%len(lingering)]))
		}},
		{4 * time.Second, l.halfClosed},
		{4 * time.Second, l.resetTCP},
		{5 * time.Second, l.shortFTP},
		{3 * time.Second, func(ctx context.Context, i int) error { return l.Invalid(ctx, family(i)) }},
		{2 * time.Second, func(ctx context.Context, i int) error { return l.Untracked(ctx, l.rota(i)) }},
		{12 * time.Second, func(ctx context.Context, i int) error { return second(l.GRE(ctx, family(i))) }},
		{12 * time.Second, func(ctx context.Context, i int) error { return second(l.SCTP(ctx, family(i))) }},
		{12 * time.Second, func(ctx context.Context, i int) error { return second(l.UDPLite(ctx, family(i))) }},
		{8 * time.Second, func(ctx context.Context, i int) error { return l.visit(l.DNAT(ctx, l.rota(i)))(ctx) }},
		{10 * time.Second, func(ctx context.Context, _ int) error { return l.visit(l.NAT66(ctx))(ctx) }},
		{10 * time.Second, func(ctx context.Context, _ int) error { return l.visit(l.Inbound(ctx))(ctx) }},
	}...)
}

func second(_ model.Key, err error) error { return err }

// visit returns what a short connection does: a page of a few kilobytes, then both ends close.
func (l *Lab) visit(c *Conn, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.Download(2000+l.pick(30_000), 0); err != nil {
			return err
		}
		return c.Finish(ctx)
	}
}

func (l *Lab) shortTCP(ctx context.Context, i int) error {
	port := []uint16{443, 80, 443, 8080, 25}[i%5]
	return l.visit(l.TCP(ctx, l.rota(i), port))(ctx)
}

func (l *Lab) halfClosed(ctx context.Context, i int) error {
	c, err := l.TCP(ctx, l.rota(i), 993)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.HalfClose(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 12*time.Second)
	defer cancel()
	return c.Drain(ctx)
}

func (l *Lab) resetTCP(ctx context.Context, i int) error {
	c, err := l.TCP(ctx, l.rota(i), 25)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Reset(ctx)
}

// shortFTP fetches two small files, one over a passive and one over an active data connection.
func (l *Lab) shortFTP(ctx context.Context, i int) error {
	s, err := l.FTP(ctx, l.rota(i))
	if err != nil {
		return err
	}
	defer s.Close()
	for _, active := range []bool{false, true} {
		if _, err := s.Get(ctx, active, 10_000+l.pick(100_000), 0); err != nil {
			return err
		}
	}
	return nil
}
