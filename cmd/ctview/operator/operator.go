package operator

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ctview/model"
)

// A Process is what /proc/PID/stat says.
type Process struct {
	Name   string
	Parent int
	TTY    uint64 // device number of the controlling terminal, 0 for none
}

// A Socket is a TCP socket.
type Socket struct {
	Inode  uint64
	Tuple  model.Tuple // from the other end to this one
	Listen bool        // only the port of this end is meant
}

// A System is where processes are looked up: /proc.
type System interface {
	Process(pid int) (Process, error)
	All() []int
	// Files returns the inodes of the sockets and the device numbers of the terminals that a process has open.
	Files(pid int) (sockets, ttys []uint64, err error)
	// Sockets returns the established and the listening TCP sockets of the network namespace of a process.
	Sockets(pid int) ([]Socket, error)
	// Env returns a variable of a process's environment, "" for none.
	Env(pid int, name string) string
}

// Find finds the sessions of whoever uses process pid.
func Find(s System, pid int) model.Operator {
	f := finder{sys: s, known: map[int]bool{}}
	f.op.Unknown = !f.climb(pid)
	for p := pid; p > 1 && len(f.climbed) > 0; {
		if t, ok := parseSSH(s.Env(p, "SSH_CONNECTION")); ok {
			f.add(t)
			break // that of the nearest
		}
		st, err := s.Process(p)
		if err != nil {
			break
		}
		p = st.Parent
	}
	return f.op
}

type finder struct {
	sys     System
	op      model.Operator
	known   map[int]bool // what climb said
	climbed []int
}

func (f *finder) add(t model.Tuple) {
	if !slices.Contains(f.op.Sessions, t) {
		f.op.Sessions = append(f.op.Sessions, t)
	}
}

// climb goes from a process to its parents until one says where it is used from; it reports whether one did.
func (f *finder) climb(pid int) (known bool) {
	if k, seen := f.known[pid]; seen || pid <= 1 {
		return k
	}
	f.known[pid] = false // where tmux runs within tmux
	f.climbed = append(f.climbed, pid)
	defer func() { f.known[pid] = known }()
	p, err := f.sys.Process(pid)
	if err != nil {
		return false
	}
	sockets, ttys, err := f.sys.Files(pid)
	switch {
	case err != nil && strings.HasPrefix(p.Name, "sshd"): // of another user: what it told its child is as good
		return f.told(pid)
	case f.accepted(pid, sockets):
		return true
	case shared(p.Name):
		return f.clients(ttys) || f.climb(p.Parent)
	case p.TTY != 0 && !pseudo(p.TTY): // the console, a serial line
		return true
	}
	return f.climb(p.Parent)
}

// shared reports whether a program is used from the terminals that it has open, not from where it was started.
func shared(name string) bool {
	return strings.HasPrefix(name, "tmux") || strings.EqualFold(name, "screen")
}

// pseudo reports whether a terminal is a pseudo-terminal (UNIX98_PTY_SLAVE_MAJOR).
func pseudo(tty uint64) bool { major := tty >> 8 & 0xfff; return major >= 136 && major < 144 }

// accepted adds the connections that a process has accepted, and reports whether one comes from another machine. What it
// has made itself (forwarded connections) is not where it is used from.
func (f *finder) accepted(pid int, inodes []uint64) (found bool) {
	if len(inodes) == 0 {
		return false
	}
	socks, _ := f.sys.Sockets(pid)
	listening := map[uint16]bool{}
	for i := range socks {
		if socks[i].Listen {
			listening[socks[i].Tuple.Dport] = true
		}
	}
	for i := range socks {
		s := &socks[i]
		if !s.Listen && listening[s.Tuple.Dport] && slices.Contains(inodes, s.Inode) {
			f.add(s.Tuple)
			found = found || !s.Tuple.SrcAddr().IsLoopback()
		}
	}
	return found
}

// told adds what an unreadable sshd told the child through which it was reached.
func (f *finder) told(sshd int) bool {
	for _, pid := range f.climbed {
		if p, err := f.sys.Process(pid); err == nil && p.Parent == sshd {
			if t, ok := parseSSH(f.sys.Env(pid, "SSH_CONNECTION")); ok {
				f.add(t)
				return true
			}
		}
	}
	return false
}

// clients climbs from what runs on the terminals of tmux's or screen's clients. It is known if each of them is.
func (f *finder) clients(ttys []uint64) bool {
	on := map[uint64]bool{}
	for _, t := range ttys {
		on[t] = on[t] || !pseudo(t)
	}
	if len(on) == 0 {
		return false
	}
	for _, pid := range f.sys.All() {
		if p, err := f.sys.Process(pid); err == nil && p.TTY != 0 {
			if k, client := on[p.TTY]; client && !k {
				on[p.TTY] = f.climb(pid)
			}
		}
	}
	for _, k := range on {
		if !k {
			return false
		}
	}
	return true
}

// parseSSH reads "CLIENT PORT SERVER PORT" as sshd writes it.
func parseSSH(s string) (model.Tuple, bool) {
	f := strings.Fields(s)
	if len(f) != 4 {
		return model.Tuple{}, false
	}
	src, err1 := netip.ParseAddr(f[0])
	dst, err2 := netip.ParseAddr(f[2])
	sport, err3 := strconv.ParseUint(f[1], 10, 16)
	dport, err4 := strconv.ParseUint(f[3], 10, 16)
	src, dst = src.WithZone("").Unmap(), dst.WithZone("").Unmap()
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || src.Is4() != dst.Is4() {
		return model.Tuple{}, false
	}
	return model.TupleOf(model.ProtoTCP, src, dst, uint16(sport), uint16(dport)), true
}
