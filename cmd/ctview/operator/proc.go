package operator

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ctview/model"
)

// Proc is /proc.
type Proc struct{}

func path(pid int, rest string) string { return "/proc/" + strconv.Itoa(pid) + "/" + rest }

// Process reads /proc/PID/stat.
func (Proc) Process(pid int) (p Process, err error) {
	b, err := os.ReadFile(path(pid, "stat"))
	if err != nil {
		return p, err
	}
	// The name in parentheses may hold anything; the fields after the last ")" are state, parent, group, session, tty.
	i, j := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[j+1:]))
	if i < 0 || j < i || len(f) < 5 {
		return p, fmt.Errorf("/proc/%d/stat: not understood", pid)
	}
	p.Name = string(b[i+1 : j])
	p.Parent, _ = strconv.Atoi(f[1])
	tty, _ := strconv.ParseInt(f[4], 10, 64)
	p.TTY = uint64(uint32(tty))
	return p, nil
}

// All lists the processes.
func (Proc) All() (pids []int) {
	es, _ := os.ReadDir("/proc")
	for _, e := range es {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Files looks at /proc/PID/fd; it needs the right to trace the process.
func (Proc) Files(pid int) (sockets, ttys []uint64, err error) {
	es, err := os.ReadDir(path(pid, "fd"))
	for _, e := range es {
		name := path(pid, "fd/"+e.Name())
		to, err := os.Readlink(name)
		if err != nil {
			continue
		}
		if s, ok := strings.CutPrefix(to, "socket:["); ok {
			if n, err := strconv.ParseUint(strings.TrimSuffix(s, "]"), 10, 64); err == nil {
				sockets = append(sockets, n)
			}
			continue
		}
		var st unix.Stat_t
		if strings.HasPrefix(to, "/dev/") && !strings.HasSuffix(to, "ptmx") && unix.Stat(name, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR &&
			(strings.HasPrefix(to, "/dev/pts/") || strings.HasPrefix(to, "/dev/tty")) {
			ttys = append(ttys, uint64(unix.Major(uint64(st.Rdev)))<<8|uint64(unix.Minor(uint64(st.Rdev))))
		}
	}
	return sockets, ttys, err
}

// Sockets reads /proc/PID/net/tcp and tcp6, which are of the namespace of that process: sock_diag would have to enter it.
func (Proc) Sockets(pid int) (all []Socket, err error) {
	for _, name := range [...]string{"net/tcp", "net/tcp6"} {
		b, e := os.ReadFile(path(pid, name))
		if e != nil {
			err = e
			continue
		}
		for l := range strings.Lines(string(b)) {
			if s, ok := parseSocket(l); ok {
				all = append(all, s)
			}
		}
	}
	return all, err
}

// parseSocket reads a line of tcp4_seq_show or tcp6_seq_show: number, local and remote end, state, …, inode.
func parseSocket(l string) (s Socket, ok bool) {
	f := strings.Fields(l)
	if len(f) < 10 {
		return s, false
	}
	dst, dport, ok1 := parseEnd(f[1])
	src, sport, ok2 := parseEnd(f[2])
	s.Inode, _ = strconv.ParseUint(f[9], 10, 64)
	switch f[3] {
	case "0A": // TCP_LISTEN
		s.Listen, s.Tuple.Dport = true, dport
	case "01": // TCP_ESTABLISHED
		if src.Is4() != dst.Is4() {
			return s, false
		}
		s.Tuple = model.TupleOf(model.ProtoTCP, src, dst, sport, dport)
	default:
		return s, false
	}
	return s, ok1 && ok2
}

// parseEnd reads an address as words in the machine's byte order, and a port.
func parseEnd(s string) (netip.Addr, uint16, bool) {
	addr, port, _ := strings.Cut(s, ":")
	b, err1 := hex.DecodeString(addr)
	p, err2 := strconv.ParseUint(port, 16, 16)
	if err1 != nil || err2 != nil || len(b) != 4 && len(b) != 16 {
		return netip.Addr{}, 0, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap(), uint16(p), true
}

// Env reads /proc/PID/environ: what the process was started with.
func (Proc) Env(pid int, name string) string {
	if pid == os.Getpid() {
		return os.Getenv(name)
	}
	b, _ := os.ReadFile(path(pid, "environ"))
	for kv := range bytes.SplitSeq(b, []byte{0}) {
		if v, ok := bytes.CutPrefix(kv, []byte(name+"=")); ok {
			return string(v)
		}
	}
	return ""
}
