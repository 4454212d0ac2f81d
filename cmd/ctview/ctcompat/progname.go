package ctcompat

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ctview/ctnl"
	"ctview/ctnl/confine"

	"golang.org/x/sys/unix"
)

// prognames finds the programs behind netlink ports, for the [USERSPACE] tail of events. The search through /proc is
// slow and is made once per socket.
type prognames struct {
	ns    *ctnl.Netns
	cache map[uint32]progname
	batch map[uint32]string // answers given since forget
}

// A progname is the program that had a socket; the inode tells it from the next with the same port.
type progname struct {
	inode, name string
}

// maxPrognames bounds the cache.
const maxPrognames = 1024

func newPrognames(ns *ctnl.Netns) *prognames {
	return &prognames{ns: ns, cache: map[uint32]progname{}, batch: map[uint32]string{}}
}

// forget begins a batch of events: within one, a port stays whose it was. A flush makes thousands of events for one
// program, and a look at each would make the kernel's queue overflow.
func (p *prognames) forget() { clear(p.batch) }

// name returns the name of the program that has the netlink port now, "" if it cannot be found: it may have ended.
func (p *prognames) name(portid uint32) string {
	name, ok := p.batch[portid]
	if !ok {
		name = p.find(portid)
		p.batch[portid] = name
	}
	return name
}

func (p *prognames) find(portid uint32) string {
	inode := p.inode(portid)
	if inode == "" {
		return ""
	}
	if c, ok := p.cache[portid]; ok && c.inode == inode {
		return c.name
	}
	name := programOf(portid, "socket:["+inode+"]")
	if len(p.cache) >= maxPrognames {
		clear(p.cache)
	}
	p.cache[portid] = progname{inode, name}
	return name
}

// inode looks the port up among the namespace's netfilter sockets.
func (p *prognames) inode(portid uint32) (inode string) {
	_ = p.ns.Do(func() error {
		f, err := os.Open("/proc/thread-self/net/netlink")
		if err != nil {
			return err
		}
		defer f.Close()
		port, proto := strconv.FormatUint(uint64(portid), 10), strconv.Itoa(unix.NETLINK_NETFILTER)
		for sc := bufio.NewScanner(f); sc.Scan(); {
			w := strings.Fields(sc.Text())
			if len(w) >= 10 && w[1] == proto && w[2] == port {
				inode = w[9]
				return nil
			}
		}
		return nil
	})
	return inode
}

// programOf returns the name of the process that has the socket open: first the one whose number the port is, as most
// programs' ports are their process IDs.
func programOf(portid uint32, link string) (name string) {
	_ = confine.With(confine.Processes, func() error {
		name = programWith(portid, link)
		return nil
	})
	return name
}

func programWith(portid uint32, link string) string {
	if pid := strconv.FormatUint(uint64(portid), 10); hasOpen(pid, link) {
		return commandName(pid)
	}
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return ""
	}
	for _, d := range dirs {
		if pid, err := strconv.Atoi(d.Name()); err == nil && pid > 1 && hasOpen(d.Name(), link) {
			return commandName(d.Name())
		}
	}
	return ""
}

func hasOpen(pid, link string) bool {
	dir := filepath.Join("/proc", pid, "fd")
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && to == link {
			return true
		}
	}
	return false
}

// commandName returns what stands between the first "(" and the next ")" of /proc/PID/stat.
func commandName(pid string) string {
	b, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), "(")
	name, _, _ := strings.Cut(rest, ")")
	return name
}
