package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// An NS is a network namespace of its own, held open by a descriptor (close-on-exec) and so gone with the process.
// All methods are safe for concurrent use; none but Do needs the caller's thread to be anything special.
type NS struct {
	name string
	mu   sync.Mutex // guards h against Close
	h    netns.NsHandle
}

// NewNS makes a namespace with nothing but a loopback interface, which is up. Nothing in it is tracked before
// EnableTracking or a rule of the caller's own. It needs CAP_SYS_ADMIN. Close it.
func NewNS() (*NS, error) { return newNS("ns") }

func newNS(name string) (*NS, error) {
	n := &NS{name: name, h: netns.None()}
	err := away(func() error {
		h, err := netns.New()
		if err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		n.h = h
		return nil
	})
	if err == nil {
		err = n.loopback()
	}
	if err != nil {
		_ = n.Close()
		return nil, fmt.Errorf("lab: new namespace: %w", refused(err))
	}
	return n, nil
}

// loopback takes the loopback interface up.
func (n *NS) loopback() error {
	c, err := n.rtnl()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.up("lo")
}

// away runs fn on the calling goroutine, locked to its thread, and takes the thread back to the namespace it came
// from. Should that fail, the goroutine stays locked, so that the runtime throws the thread away with it.
func away(fn func() error) (err error) {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("own namespace: %w", err)
	}
	defer func() {
		back := netns.Set(home)
		_ = home.Close()
		if back != nil {
			err = errors.Join(err, fmt.Errorf("back to own namespace: %w", back))
			return
		}
		runtime.UnlockOSThread()
	}()
	return fn()
}

// Do runs fn on the calling goroutine with its thread inside the namespace. Sockets that fn makes belong to the
// namespace for as long as they live; goroutines that it starts do not run there. fn may panic or call t.Fatal.
func (n *NS) Do(fn func() error) error {
	h, err := n.dup()
	if err != nil {
		return err
	}
	return away(func() error {
		err := netns.Set(h)
		_ = h.Close()
		if err != nil {
			return fmt.Errorf("lab: enter %s: %w", n.name, err)
		}
		return fn()
	})
}

func (n *NS) dup() (netns.NsHandle, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.h.IsOpen() {
		return netns.None(), fmt.Errorf("lab: %s: %w", n.name, os.ErrClosed)
	}
	fd, err := unix.FcntlInt(uintptr(n.h), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return netns.None(), fmt.Errorf("lab: %s: %w", n.name, err)
	}
	return netns.NsHandle(fd), nil
}

// Name returns what error texts call the namespace: "client", "router", "server", or "ns".
func (n *NS) Name() string { return n.name }

// FD returns the descriptor that holds the namespace, -1 once it is closed. It stays the NS's.
func (n *NS) FD() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return int(n.h)
}

// Path returns a path that other processes of the same user can open to enter the namespace (nsenter --net=PATH,
// ctview --netns PATH) while this process lives and the NS is open.
func (n *NS) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.FD()) }

// Inode returns the number in the kernel's name of the namespace, net:[N].
func (n *NS) Inode() (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(n.FD(), &st); err != nil {
		return 0, fmt.Errorf("lab: %s: %w", n.name, err)
	}
	return st.Ino, nil
}

// Close gives up the hold. The kernel removes the namespace with its links, rules and flows when its last socket and
// process are gone too. A second Close does nothing.
func (n *NS) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.h.IsOpen() {
		return nil
	}
	return n.h.Close()
}

// Dial is net.Dialer.DialContext inside the namespace. laddr is the local address, "" for the kernel's choice; both
// must be numeric.
func (n *NS) Dial(ctx context.Context, network, laddr, raddr string) (c net.Conn, err error) {
	d := net.Dialer{}
	if laddr != "" {
		if d.LocalAddr, err = localAddr(network, laddr); err != nil {
			return nil, fmt.Errorf("lab: %s: %w", n.name, err)
		}
	}
	err = n.Do(func() error {
		c, err = d.DialContext(ctx, network, raddr)
		return err
	})
	return c, err
}

func localAddr(network, addr string) (net.Addr, error) {
	if network[:3] == "udp" {
		return net.ResolveUDPAddr(network, addr)
	}
	return net.ResolveTCPAddr(network, addr)
}

// Listen is net.Listen inside the namespace.
func (n *NS) Listen(network, addr string) (l net.Listener, err error) {
	err = n.Do(func() error {
		l, err = net.Listen(network, addr)
		return err
	})
	return l, err
}

// ListenPacket is net.ListenPacket inside the namespace; network may be "ip4:1" and the like.
func (n *NS) ListenPacket(network, addr string) (c net.PacketConn, err error) {
	err = n.Do(func() error {
		c, err = net.ListenPacket(network, addr)
		return err
	})
	return c, err
}
