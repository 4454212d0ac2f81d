package ctnl

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"ctview/ctnl/confine"
)

// A NetnsInfo is a network namespace that can be told of: one that has a name, or a process in it. Texts come from the
// file system and from processes; they are not escaped.
type NetnsInfo struct {
	Spec      string // what OpenNetns takes: a name, else the PID of its first process
	Own       bool   // it is ctview's
	Initial   bool   // it is the machine's first one, as far as ctview can tell
	Inode     uint64
	Names     []string // that ip netns keeps for it
	Processes int      // in it, as far as ctview may look
	PID       int      // of the process in it that began first, 0 for none
	Comm      string   // what that process calls itself
	Container string   // the container that this process is in, such as "docker 0123456789ab", "" for none
}

// netnsInitial is the inode of the initial namespace from Linux 6.18 on (NET_NS_INIT_INO); others begin at 0xf0000000.
const netnsInitial = 0xeffffff9

// ownInitial reports whether the calling thread is in the initial namespace: of net.core, what the machine has only once is
// seen there alone (net_core_table).
func ownInitial() bool {
	_, err := os.Stat("/proc/sys/net/core/netdev_budget")
	return err == nil
}

// ListNetns returns the namespaces that have a name (ip netns) and those that processes are in, each once: ctview's
// own first, the initial one, then by name, then by PID. Processes that ctview may not look at are left out.
func ListNetns() ([]NetnsInfo, error) {
	found := map[nsID]*NetnsInfo{}
	at := func(id nsID) *NetnsInfo {
		if found[id] == nil {
			found[id] = &NetnsInfo{Inode: id.ino, Initial: id.ino == netnsInitial}
		}
		return found[id]
	}
	if id, err := pathID("/proc/self/ns/net"); err == nil {
		n := at(id)
		n.Own, n.Initial = true, ownInitial()
	}
	if err := namedNetns(at); err != nil {
		return nil, err
	}
	if err := confine.With(confine.SysPtrace, func() error { return processNetns(at) }); err != nil {
		return nil, err
	}
	list := make([]NetnsInfo, 0, len(found))
	for _, n := range found {
		switch {
		case len(n.Names) > 0:
			slices.Sort(n.Names)
			n.Spec = n.Names[0]
		case n.Own:
			n.Spec = "/proc/self/ns/net"
		default:
			n.Spec = strconv.Itoa(n.PID)
		}
		list = append(list, *n)
	}
	sort.Slice(list, func(i, j int) bool { // see model.SortRules
		a, b := &list[i], &list[j]
		return cmp.Or(-compareBool(a.Own, b.Own), -compareBool(a.Initial, b.Initial), -compareBool(len(a.Names) > 0, len(b.Names) > 0),
			slices.Compare(a.Names, b.Names), cmp.Compare(a.PID, b.PID)) < 0
	})
	return list, nil
}

// Is reports whether i tells of n.
func (n *Netns) Is(i *NetnsInfo) bool { return n.id.ino != 0 && n.id.ino == i.Inode }

// Title tells a person which namespace n is, whatever way led to it: the name that ip netns keeps for it (the one that it was
// opened by, if it has several), else what OpenNetns was asked for, else its process that began first, as "pid 812 (dnsmasq)", else "net:[INODE]". It is ""
// for the initial namespace. Unescaped.
func (n *Netns) Title() string {
	if n.id.ino == 0 {
		return n.spec
	}
	found := NetnsInfo{Inode: n.id.ino}
	var other NetnsInfo
	at := func(id nsID) *NetnsInfo {
		if id == n.id {
			return &found
		}
		return &other
	}
	_ = namedNetns(at)
	if slices.Contains(found.Names, n.spec) {
		return n.spec
	}
	if len(found.Names) > 0 {
		return slices.Min(found.Names)
	}
	var initial bool
	if err := n.Do(func() error { initial = ownInitial(); return nil }); initial || err != nil && n.id.ino == netnsInitial {
		return ""
	}
	if n.spec != "" {
		return n.spec
	}
	if _ = confine.With(confine.SysPtrace, func() error { return processNetns(at) }); found.PID != 0 {
		return fmt.Sprintf("pid %d (%s)", found.PID, found.Comm)
	}
	return fmt.Sprintf("net:[%d]", n.id.ino)
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// namedNetns adds the names of ip netns. A name whose namespace is gone (nothing is mounted on it) is none.
func namedNetns(at func(nsID) *NetnsInfo) error {
	entries, err := os.ReadDir(netnsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ctnl: list namespaces: %w", err)
	}
	for _, e := range entries {
		f, err := os.Open(filepath.Join(netnsDir, e.Name()))
		if err != nil {
			continue
		}
		id, err := fileID(f)
		if err == nil && isNetns(f) {
			n := at(id)
			n.Names = append(n.Names, e.Name())
		}
		_ = f.Close()
	}
	return nil
}

// processNetns adds the namespaces of processes. Processes come and go meanwhile: what cannot be read is left out.
func processNetns(at func(nsID) *NetnsInfo) error {
	pids, err := processes()
	if err != nil {
		return fmt.Errorf("ctnl: list namespaces: %w", err)
	}
	began := map[*NetnsInfo]uint64{}
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid)
		id, err := pathID(dir + "/ns/net")
		if err != nil {
			continue
		}
		comm, start, kernel, ok := readStat(dir)
		if !ok {
			continue
		}
		n := at(id)
		n.Processes++
		n.Initial = n.Initial || kernel // its threads are in no other
		if first, seen := began[n]; !seen || start < first {
			began[n], n.PID, n.Comm = start, pid, comm
		}
	}
	for n := range began {
		if b, err := os.ReadFile("/proc/" + strconv.Itoa(n.PID) + "/cgroup"); err == nil {
			n.Container = containerOf(string(b))
		}
	}
	return nil
}

// processes returns the PIDs that /proc shows, in its order.
func processes() ([]int, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	var pids []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, err
}

// readStat reads name and start (clock ticks after boot) of a process from its directory in /proc, and whether it is a thread
// of the kernel.
func readStat(dir string) (comm string, start uint64, kernel, ok bool) {
	b, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return "", 0, false, false
	}
	return parseStat(string(b))
}

// parseStat reads proc_pid_stat(5). The name stands in parentheses and may hold anything, parentheses too.
func parseStat(s string) (comm string, start uint64, kernel, ok bool) {
	open, end := strings.IndexByte(s, '('), strings.LastIndexByte(s, ')')
	if open < 0 || end < open {
		return "", 0, false, false
	}
	const ( // the first field after the name is number 3
		flagsField = 9 - 3
		startField = 22 - 3
		kthread    = 0x00200000 // PF_KTHREAD
	)
	fields := strings.Fields(s[end+1:])
	if len(fields) <= startField {
		return "", 0, false, false
	}
	flags, err := strconv.ParseUint(fields[flagsField], 10, 64)
	if err != nil {
		return "", 0, false, false
	}
	start, err = strconv.ParseUint(fields[startField], 10, 64)
	return s[open+1 : end], start, flags&kthread != 0, err == nil
}

// containerEngines are the beginnings of names that engines give the cgroups of their containers.
var containerEngines = []struct{ prefix, name string }{
	{"docker-", "docker"}, {"libpod-", "podman"}, {"crio-", "cri-o"}, {"cri-containerd-", "containerd"},
	{"lxc.payload.", "lxc"}, {"systemd-nspawn@", "nspawn"}, {"machine-", "machine"},
}

// containerOf returns the container of a process, from the text of its /proc/PID/cgroup; "" where nothing there looks
// like one. A long hexadecimal ID is cut to twelve digits, as the engines themselves show it.
func containerOf(cgroup string) string {
	for line := range strings.Lines(cgroup) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3) // hierarchy, controllers, path
		if len(fields) < 3 {
			continue
		}
		parts := strings.Split(fields[2], "/")
		for i := len(parts) - 1; i > 0; i-- {
			parent := parts[i-1]
			if c := containerPart(parent, parts[i]); c != "" {
				return c
			}
		}
	}
	return ""
}

// containerPart judges one folder of a cgroup path.
func containerPart(parent, part string) string {
	name := strings.TrimSuffix(strings.TrimSuffix(part, ".scope"), ".service")
	for _, e := range containerEngines {
		if id, ok := strings.CutPrefix(name, e.prefix); ok && id != "" {
			if short, ok := shortID(id); ok {
				return e.name + " " + short
			}
			if e.prefix == "docker-" || e.prefix == "libpod-" { // their IDs are always hexadecimal: this is something else
				return ""
			}
			return e.name + " " + id
		}
	}
	id, ok := shortID(name)
	switch {
	case ok && parent == "docker":
		return "docker " + id
	case ok:
		return "container " + id
	case parent == "lxc" && name != "":
		return "lxc " + name
	}
	return ""
}

// shortID cuts an ID of 64 hexadecimal digits; ok is false for anything else.
func shortID(s string) (id string, ok bool) {
	if len(s) != 64 || strings.Trim(s, "0123456789abcdef") != "" {
		return "", false
	}
	return s[:12], true
}
