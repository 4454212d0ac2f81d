package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/confine"
)

// A holder is a process that has a socket open.
type holder struct {
	pid  int
	fd   string // its descriptor
	comm string // what it calls itself, unescaped
	more int    // other processes that have it open too
}

// processes finds who has a socket open. The answer is kept for as long as it is true. Safe for concurrent use.
type processes struct {
	mu    sync.Mutex
	known map[uint32]holder
	none  map[uint32]time.Time // sockets that nobody held, and when they were looked for
}

// Bounds of what processes keeps.
const (
	maxHolders = 256
	noneFor    = 10 * time.Second
)

// holderOf returns the process that has the socket with this inode open; ok is false if there is none that can be seen.
func (p *processes) holderOf(inode uint32) (h holder, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h, ok = p.known[inode]; ok && h.holds(inode) {
		return h, true
	}
	if at, ok := p.none[inode]; ok && time.Since(at) < noneFor {
		return holder{}, false
	}
	_ = confine.With(confine.Processes, func() error {
		h, ok = findHolder("/proc", inode)
		return nil
	})
	if p.known == nil || len(p.known)+len(p.none) > maxHolders {
		p.known, p.none = map[uint32]holder{}, map[uint32]time.Time{}
	}
	if delete(p.known, inode); ok {
		p.known[inode] = h
		delete(p.none, inode)
	} else {
		p.none[inode] = time.Now()
	}
	return h, ok
}

// holds reports whether h still has the socket open.
func (h *holder) holds(inode uint32) bool {
	var link string
	err := confine.With(confine.Processes, func() (err error) {
		link, err = os.Readlink(filepath.Join("/proc", strconv.Itoa(h.pid), "fd", h.fd))
		return err
	})
	return err == nil && link == socketLink(inode)
}

// socketLink is what a descriptor of a socket leads to.
func socketLink(inode uint32) string { return "socket:[" + strconv.FormatUint(uint64(inode), 10) + "]" }

// findHolder looks through the descriptors of all processes below proc. Who listens often does so in several processes:
// the one with the lowest PID is named, the others are counted.
func findHolder(proc string, inode uint32) (h holder, ok bool) {
	want := socketLink(inode)
	dirs, err := os.ReadDir(proc)
	if err != nil {
		return h, false
	}
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		fd, err := descriptorOf(filepath.Join(proc, d.Name(), "fd"), want)
		switch {
		case err != nil:
			continue
		case ok && pid > h.pid:
			h.more++
		default:
			more := h.more
			if ok {
				more++
			}
			h, ok = holder{pid: pid, fd: fd, more: more}, true
		}
	}
	if ok {
		b, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(h.pid), "comm"))
		h.comm, ok = strings.TrimSuffix(string(b), "\n"), err == nil
	}
	return h, ok
}

// descriptorOf returns the name of the descriptor in dir that leads to want.
func descriptorOf(dir, want string) (string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return "", err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	for _, n := range names {
		if link, err := os.Readlink(filepath.Join(dir, n)); err == nil && link == want {
			return n, nil
		}
	}
	return "", errors.Join(err, fs.ErrNotExist)
}

// describeSocket says who has a socket: process, user, or as much of it as this user is told.
func (p *processes) describeSocket(s ctnl.Socket) string {
	if s.Inode == 0 {
		return "-"
	}
	h, ok := p.holderOf(s.Inode)
	text := "no process that this user may see" // there may be none: a socket of the kernel, or one just closed
	switch {
	case ok && h.more > 0:
		text = fmt.Sprintf("%s, pid %d and %d more", h.comm, h.pid, h.more)
	case ok:
		text = fmt.Sprintf("%s, pid %d", h.comm, h.pid)
	}
	text += ", user " + userName(s.UID)
	if s.Listening {
		text += " (listens)"
	}
	return text
}

// userName returns the name of a user, else the number.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil && u.Username != "" {
		return u.Username
	}
	return id
}
