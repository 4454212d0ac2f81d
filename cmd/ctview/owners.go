package main

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/confine"
	"ctview/model"
	"ctview/model/table"

	"golang.org/x/sys/unix"
)

// An ownerReader reads who holds the sockets of a namespace, again and again. What it found out about a socket is kept
// for holderFor, so that a reading costs little where sockets stay. Not safe for concurrent use.
type ownerReader struct {
	ns      *ctnl.Netns
	proc    string // where /proc is
	held    map[uint32]heldSocket
	scanned time.Time // when all processes were looked through
	users   map[uint32]string
	cgroups map[uint64]string // by id
	hidden  int               // processes that this user may not look into, at the last scan
	unseen  int               // sockets of the last reading whose process was not found
}

// A heldSocket is what the descriptors of processes tell of a socket.
type heldSocket struct {
	pid, more int32
	comm      string
	cgroup    string
}

// holderFor is how long a socket is believed to be its process's: until then nothing but a process that hands it to
// another makes it wrong.
const holderFor = 30 * time.Second

func newOwnerReader(ns *ctnl.Netns) *ownerReader { return &ownerReader{ns: ns, proc: "/proc"} }

// read looks who holds the sockets now.
func (r *ownerReader) read() (*model.Owners, error) {
	locals, cast, err := r.ns.Addrs()
	if err != nil {
		return nil, err
	}
	var sockets []ctnl.InetSocket
	if err := r.ns.Sockets(func(s *ctnl.InetSocket) { sockets = append(sockets, *s) }); err != nil {
		return nil, err
	}
	r.look(sockets)
	bound := make([]model.BoundSocket, len(sockets))
	holders := map[model.Holder]*model.Holder{} // a process has many sockets
	r.unseen = 0
	for i := range sockets {
		s := &sockets[i]
		h := r.holder(s)
		if h.PID == 0 {
			r.unseen++
		}
		if holders[h] == nil {
			holders[h] = &h
		}
		bound[i] = model.BoundSocket{Proto: s.Proto, Local: s.Local, Remote: s.Remote, Only6: s.Only6, Holder: holders[h]}
	}
	return model.NewOwners(slices.AppendSeq(make([]netip.Addr, 0, len(locals)), maps.Keys(locals)), cast, bound), nil
}

// look finds the processes of sockets that are new, or all once in a while.
func (r *ownerReader) look(sockets []ctnl.InetSocket) {
	old := time.Since(r.scanned) > holderFor
	isNew := func(s ctnl.InetSocket) bool { _, ok := r.held[s.Inode]; return !ok }
	if !old && !slices.ContainsFunc(sockets, isNew) {
		return
	}
	if old {
		r.users, r.cgroups = map[uint32]string{}, nil
	}
	found := make(map[uint32]heldSocket, len(sockets))
	for i := range sockets {
		found[sockets[i].Inode] = heldSocket{}
	}
	_ = confine.With(confine.Processes, func() error {
		r.hidden = scanProcesses(r.proc, found)
		return nil
	})
	r.held, r.scanned = found, time.Now()
}

// scanProcesses fills in who holds the sockets of found, by inode, and returns how many processes it may not look into.
// Of several, the one with the lowest number is told, but not init: it holds the sockets of those that it will start.
func scanProcesses(proc string, found map[uint32]heldSocket) (hidden int) {
	dirs, err := os.ReadDir(proc)
	if err != nil {
		return 1
	}
	for _, d := range dirs {
		pid, err := strconv.ParseInt(d.Name(), 10, 32)
		if err != nil {
			continue
		}
		p := process{dir: filepath.Join(proc, d.Name()), pid: int32(pid)}
		if err := p.scan(found); os.IsPermission(err) {
			hidden++
		}
	}
	return hidden
}

// A process is one whose descriptors are looked through; what it is called is read once it is needed.
type process struct {
	dir          string
	pid          int32
	comm, cgroup string
	named        bool
}

// scan notes the sockets of found that p has open.
func (p *process) scan(found map[uint32]heldSocket) error {
	d, err := os.Open(filepath.Join(p.dir, "fd"))
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	var link [64]byte
	mine := map[uint32]bool{} // it may have one open several times
	for _, name := range names {
		n, err := unix.Readlinkat(int(d.Fd()), name, link[:])
		if err != nil {
			if os.IsPermission(err) {
				return err
			}
			continue
		}
		inode, ok := socketInode(string(link[:n]))
		h, wanted := found[inode]
		if !ok || !wanted || mine[inode] {
			continue
		}
		mine[inode] = true
		found[inode] = p.hold(h)
	}
	return nil
}

// hold returns h with p among its processes.
func (p *process) hold(h heldSocket) heldSocket {
	if h.pid != 0 && h.pid != 1 && (p.pid > h.pid || p.pid == 1) {
		h.more++
		return h
	}
	if !p.named {
		p.named = true
		b, _ := os.ReadFile(filepath.Join(p.dir, "comm"))
		if p.comm = strings.TrimSuffix(string(b), "\n"); p.comm == "" {
			p.comm = "[" + strconv.Itoa(int(p.pid)) + "]"
		}
		b, _ = os.ReadFile(filepath.Join(p.dir, "cgroup"))
		p.cgroup = cgroupOf(string(b))
	}
	more := h.more
	if h.pid != 0 {
		more++
	}
	return heldSocket{pid: p.pid, more: more, comm: p.comm, cgroup: p.cgroup}
}

// socketInode reads what a descriptor of a socket leads to.
func socketInode(link string) (inode uint32, ok bool) {
	s, ok := strings.CutPrefix(link, "socket:[")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(s, "]"), 10, 32)
	return uint32(n), err == nil
}

// cgroupOf returns the path of a process's cgroup as /proc/PID/cgroup tells it: that of the one hierarchy of cgroup2
// (0::), or, where nobody uses that, of the first of the others that is not the root.
func cgroupOf(text string) string {
	path := ""
	for line := range strings.Lines(text) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, p, ok := strings.Cut(rest, ":")
		switch {
		case !ok || p == "":
		case controllers == "" && p != "/":
			return p
		case path == "" || path == "/":
			path = p
		}
	}
	return path
}

// holder puts together what is known of a socket.
func (r *ownerReader) holder(s *ctnl.InetSocket) model.Holder {
	p := r.held[s.Inode]
	h := model.Holder{PID: p.pid, More: p.more, Proc: p.comm, UID: s.UID, User: r.user(s.UID), Cgroup: p.cgroup}
	if h.Cgroup == "" {
		h.Cgroup = r.cgroup(s.Cgroup)
	}
	h.Container = model.ContainerOf(h.Cgroup)
	return h
}

func (r *ownerReader) user(uid uint32) string {
	name, ok := r.users[uid]
	if !ok {
		name = userName(uid)
		r.users[uid] = name
	}
	return name
}

// maxCgroups bounds how many cgroups are looked at for their ids.
const maxCgroups = 20_000

// cgroup returns the path of the cgroup with an id, which is the inode of its directory; "" where it is not found.
func (r *ownerReader) cgroup(id uint64) string {
	if id == 0 {
		return ""
	}
	if r.cgroups == nil {
		r.cgroups = cgroupIDs()
	}
	return r.cgroups[id]
}

// cgroupIDs reads the ids of the cgroups below the mount of cgroup2.
func cgroupIDs() map[uint64]string {
	ids := map[uint64]string{}
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(root, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil
			}
			var st unix.Stat_t
			if unix.Stat(path, &st) == nil {
				ids[st.Ino] = "/" + strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
			}
			if len(ids) >= maxCgroups {
				return fs.SkipAll
			}
			return nil
		})
	}
	return ids
}

const (
	// ownersShare of the budget is what looking for owners may cost: what dumps leave of it.
	ownersShare = 0.2
	// ownersEvery is how often owners are read at most, ownersLook how often one looks whether anybody wants them, and
	// ownersFor how long they are told when nobody asked.
	ownersEvery = time.Second
	ownersFor   = 30 * time.Second
	ownersLook  = 250 * time.Millisecond
)

// keepOwners keeps what tab knows of who holds sockets, and of the way that flows take, up to date, while somebody asks, until
// ctx ends. budget is the part of one core that keeping the table up to date may cost; 0: the usual. A reading that fails leaves
// nothing known.
func keepOwners(ctx context.Context, ns *ctnl.Netns, tab *table.Table, budget float64) error {
	if budget <= 0 {
		budget = ctnl.DefaultBudget
	}
	owners, routes := &ownerKeeper{r: newOwnerReader(ns), tab: tab}, &routeKeeper{ns: ns, tab: tab}
	defer routes.drop()
	tick := time.NewTicker(ownersLook)
	defer tick.Stop()
	var next time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		began := time.Now()
		due := !began.Before(next)
		looked := due && owners.step(next)
		ways, err := routes.step(due)
		if err != nil {
			routes.drop()
		}
		if looked || ways {
			next = began.Add(max(ownersEvery, time.Duration(float64(time.Since(began))/(budget*ownersShare))))
		}
	}
}

// An ownerKeeper keeps what a table knows of who holds sockets up to date.
type ownerKeeper struct {
	r     *ownerReader
	tab   *table.Table
	last  int64
	known bool
}

// step reads who holds sockets, if somebody has asked, and reports whether it did. due is when it was to be called.
func (k *ownerKeeper) step(due time.Time) bool {
	wanted := k.tab.OwnersWanted()
	if wanted == k.last {
		if k.known && time.Since(due) > ownersFor { // what is old is not to be told to whoever asks next
			k.tab.SetOwners(nil)
			k.known = false
		}
		return false
	}
	k.last = wanted
	owners, err := k.r.read()
	if err != nil {
		owners = nil
	}
	k.tab.SetOwners(owners)
	k.known = true
	return true
}

// wantOwners says that the command will look who holds sockets. It takes the right to look into other processes, and no
// Landlock, which forbids that. Call it before opened.
func (g *globals) wantOwners() {
	g.who = true
	if g.confined && g.effect == confine.NetAdmin {
		g.keeps |= confine.Processes
	}
}

// readOwners reads who holds the sockets of ns, if that is wanted, and tells once where not everything could be seen.
func (g *globals) readOwners(ns *ctnl.Netns) error {
	if !g.who {
		return nil
	}
	r, again := g.reader, true
	if r == nil || r.ns != ns {
		r, again = newOwnerReader(ns), false
	}
	owners, err := r.read()
	if err != nil {
		return err
	}
	g.owners, g.reader = owners, r
	if r.hidden > 0 && r.unseen > 0 && !again && !g.quiet {
		fmt.Fprintf(g.err, "ctview: %s without a process that this user may see\nhint: run it as root: CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH show those of others\n",
			model.Plural(r.unseen, "socket"))
	}
	return nil
}

// dumpOwned is ctnl.DumpTo, with who holds the sockets of each flow where that is wanted, and with what g.nat wants beside.
func (g *globals) dumpOwned(ctx context.Context, ns *ctnl.Netns, k model.KernelFilter, fn func([]model.Event) error) error {
	if err := g.readOwners(ns); err != nil {
		return err
	}
	g.readRanges(ctx, ns)
	if g.owners == nil && !g.ways {
		return ctnl.DumpTo(ctx, ns, k, fn)
	}
	if g.router != nil { // another reading: routes may have changed
		if err := g.router.turn(nil); err != nil {
			return err
		}
	}
	return ctnl.DumpTo(ctx, ns, k, func(evs []model.Event) error {
		if err := g.readRoutes(ns, evs); err != nil {
			return err
		}
		for i := range evs {
			g.know(&evs[i])
		}
		return fn(evs)
	})
}

// wants notes what a column has looked up.
func (g *globals) wants(c model.Column) {
	if model.OwnerColumn(c) {
		g.wantOwners()
	}
	g.ways = g.ways || model.RouteColumn(c)
}

// know puts what was looked up into an event.
func (g *globals) know(ev *model.Event) {
	ev.Extra.Owner, ev.Extra.Route = g.owners.Of(&ev.Flow), g.routes.Of(&ev.Flow)
}

// refuseOwners is the error for a filter, and columns, that ask who holds sockets, or which way flows take, where nobody knows: what.
func (g *globals) refuseOwners(what string) error {
	if g.ways {
		return usageError{"which way flows take (iif, oif) is not known of " + what, "it is known of the live table: list, count, delete, and the screen"}
	}
	if !g.who {
		return nil
	}
	return usageError{"who holds the sockets of flows (pid, proc, user, cgroup, forwarded, local) is not known of " + what,
		"it is known of the live table: list, count, delete, and the screen"}
}
