package ctnl

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ctview/model"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"
)

const (
	// answerTimeout is how long the kernel may take for one answer. It answers within the system call that asks; what
	// takes longer is a machine without CPU to spare.
	answerTimeout = 10 * time.Second
	// requestBuffer is the receive buffer asked for by sockets that send many requests at once.
	requestBuffer = 4 << 20
	// MaxWindow is the most requests in one send. 512 deletions are 70 KiB, within the default send buffer.
	MaxWindow = 512
	// answerCharge is what one answer costs of the receive buffer at worst: a flow's message before netlink_trim.
	answerCharge = 4608
)

// A Kernel sends requests to the conntrack table of one namespace. Its sockets are opened by the first request. Safe for
// concurrent use; requests wait for each other, except those by the thousand (DeleteMany, CreateMany), which have a
// socket each. Errors wrap the sentinels of this package and, where the kernel sent one, its errno.
type Kernel struct {
	ns *Netns

	mu sync.Mutex
	x  *exchange       // nil until used and after an answer was missed
	c  *conntrack.Conn // the library's, likewise; see control
}

// NewKernel returns a Kernel for ns, which must outlive it.
func NewKernel(ns *Netns) *Kernel { return &Kernel{ns: ns} }

// Close closes the sockets. The Kernel can be used again.
func (k *Kernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.drop()
	if k.c != nil {
		err = errors.Join(err, k.c.Close())
		k.c = nil
	}
	return err
}

func (k *Kernel) drop() error {
	if k.x == nil {
		return nil
	}
	err := k.x.s.close()
	k.x = nil
	return err
}

// with runs fn with the exchange, alone, and ends its waits with ctx.
func (k *Kernel) with(ctx context.Context, what string, fn func(x *exchange) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.x == nil {
		x, err := newExchange(k.ns)
		if err != nil {
			return fmt.Errorf("ctnl: %s: %w", what, err)
		}
		k.x = x
	}
	stop := k.x.s.cancelOn(ctx)
	err := fn(k.x)
	stop()
	if k.x.broken {
		_ = k.drop() // answers may still come: never read them as those to a later request
	}
	if err != nil {
		return fmt.Errorf("ctnl: %s: %w", what, err)
	}
	return nil
}

// An exchange is a socket for requests and answers. Not safe for concurrent use.
type exchange struct {
	s      *socket
	r      *receiver
	d      *Decoder
	req    request
	seq    uint32
	window int  // requests that may be in flight so that all their answers fit
	broken bool // an answer was missed
}

func newExchange(ns *Netns) (*exchange, error) {
	s, err := dial(ns)
	if err != nil {
		return nil, err
	}
	stored, _, err := s.setReadBuffer(requestBuffer)
	if err != nil {
		_ = s.close()
		return nil, err
	}
	_ = s.conn.SetOption(netlink.CapAcknowledge, true) // shorter errors, where the kernel can (4.3)
	return &exchange{s: s, r: newReceiver(s, dumpBuffer), d: NewDecoder(),
		window: max(1, min(MaxWindow, stored/answerCharge))}, nil
}

// begin starts a message with a new sequence number. The caller adds attributes and calls send.
func (x *exchange) begin(subsys netfilter.SubsystemID, typ uint8, flags uint16, family model.Family, version uint8) *request {
	x.seq++
	if x.seq == 0 {
		x.seq = 1
	}
	x.req.message(subsys, typ, flags, x.seq, family, version)
	return &x.req
}

// send sends what was built and makes room for the next. The kernel has carried it all out when it returns.
func (x *exchange) send(ctx context.Context) error {
	if err := x.s.await(ctx, answerTimeout); err != nil {
		return err
	}
	err := x.s.send(x.req.b)
	x.req.reset()
	if err != nil {
		x.broken = true
		return ctxError(ctx, err)
	}
	return nil
}

// answers calls fn for each message from the kernel whose sequence number is in first…last, until fn is done or fails.
// NLMSG_ERROR comes with the errno, nil for an ACK.
func (x *exchange) answers(ctx context.Context, first, last uint32, fn func(h header, payload []byte, errno error) (done bool, err error)) error {
	for {
		b, err := x.r.next()
		if err != nil {
			x.broken = true
			return ctxError(ctx, err)
		}
		w := Walk{Rest: b}
		for len(w.Rest) > 0 {
			h, payload, ok := w.next()
			if !ok {
				x.broken = true
				return errShort
			}
			if h.seq-first > last-first {
				continue // the answer to a request that was given up
			}
			var errno error
			if h.typ == unix.NLMSG_ERROR || h.typ == unix.NLMSG_DONE {
				errno = replyErrno(payload)
			}
			if done, err := fn(h, payload, errno); done || err != nil {
				return err
			}
		}
	}
}

// ack sends the message that was built, which must ask for an ACK, and waits for it.
func (x *exchange) ack(ctx context.Context) error {
	seq := x.seq
	if err := x.send(ctx); err != nil {
		return err
	}
	return x.answers(ctx, seq, seq, func(h header, _ []byte, errno error) (bool, error) {
		return h.typ == unix.NLMSG_ERROR, errnoError(errno)
	})
}

// one sends the message that was built and waits for its single answer, a message or an error. The kernel marks such
// answers NLM_F_MULTI and never ends them with NLMSG_DONE: who waits for it waits for ever.
func (x *exchange) one(ctx context.Context, fn func(h header, payload []byte) error) error {
	seq := x.seq
	if err := x.send(ctx); err != nil {
		return err
	}
	return x.answers(ctx, seq, seq, func(h header, payload []byte, errno error) (bool, error) {
		if errno != nil {
			return true, errno
		}
		return true, fn(h, payload)
	})
}

// each sends the dump request that was built and calls fn for each message until NLMSG_DONE.
func (x *exchange) each(ctx context.Context, fn func(h header, payload []byte) error) error {
	seq := x.seq
	if err := x.send(ctx); err != nil {
		return err
	}
	return x.answers(ctx, seq, seq, func(h header, payload []byte, errno error) (bool, error) {
		switch {
		case errno != nil:
			return true, errno
		case h.typ == unix.NLMSG_DONE || h.typ == unix.NLMSG_ERROR:
			return true, nil
		}
		err := fn(h, payload)
		if err != nil {
			x.broken = true // the rest of the dump is still to come
		}
		return false, err
	})
}

// pipeline sends n requests, a window of them per system call, and calls failed for each that the kernel refused.
// write writes request i with the flags given; only the last of a window asks for an ACK, so that success costs no
// answer. progress, if not nil, is told how many are done. Cancelling ctx stops between windows.
func (x *exchange) pipeline(ctx context.Context, n int, write func(i int, flags uint16), failed func(i int, err error), progress func(done int)) error {
	for at := 0; at < n; {
		if err := ctx.Err(); err != nil {
			return err
		}
		count := min(x.window, n-at)
		if x.seq > 1<<31 {
			x.seq = 0 // a window's numbers must not wrap
		}
		first := x.seq + 1
		for i := range count {
			var flags uint16
			if i == count-1 {
				flags = unix.NLM_F_ACK
			}
			write(at+i, flags)
		}
		last := x.seq
		if err := x.send(ctx); err != nil {
			return err
		}
		err := x.answers(ctx, first, last, func(h header, _ []byte, errno error) (bool, error) {
			if errno != nil {
				failed(at+int(h.seq-first), errnoError(errno))
			}
			return h.seq == last, nil
		})
		if err != nil {
			return err
		}
		at += count
		if progress != nil {
			progress(at)
		}
	}
	return nil
}
