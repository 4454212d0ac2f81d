package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"ctview/ctnl"
	"ctview/ctnl/confine"
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"

	"golang.org/x/sys/unix"
)

// An Exam is what was seen of one namespace; Judge tells what it means. What could not be seen says so by its error or OK
// field. It keeps nothing open, and is not safe for concurrent use.
type Exam struct {
	netns    string // as asked for
	release  string // of the kernel
	uid      int
	netAdmin bool // CAP_NET_ADMIN is effective

	probe   error // of asking ctnetlink for its counter
	sys     model.System
	entries model.Setting
	cpus    []model.CPUStats
	cpusErr error

	join    error // of subscribing to events
	rcvbuf  int   // bytes as the kernel counts them
	advised int   // bytes that are asked for on a machine with so much memory free
	forced  bool
	rmemMax model.Setting

	firewall    ruleset.Firewall
	firewallErr error
	helpers     []string // modules that are loaded or built in

	logInvalid model.Setting
	loggers    [2]string // of IPv4 and IPv6: "NONE" or a name, "" where it cannot be read

	userns error // of making a user and a network namespace as this user

	confines bool // ctview can give up privileges
	landlock int  // version of Landlock, 0 for none

	looks   bool  // into the processes of other users
	sockets error // of asking sock_diag
}

// Examine looks at ns, which the user called name, without changing anything. What is not permitted or not in this kernel
// is in the Exam; the error is that of a kernel which answers neither so nor so.
func Examine(ctx context.Context, ns *ctnl.Netns, name string) (*Exam, error) {
	x := &Exam{netns: name, uid: os.Getuid(), release: kernelRelease(), netAdmin: hasCap(unix.CAP_NET_ADMIN)}
	k := ctnl.NewKernel(ns)
	defer k.Close()
	x.sys, x.probe = k.System(ctx)
	if x.sys.EntriesOK {
		x.entries = model.Setting{Value: int64(x.sys.Entries), OK: true}
	}
	if x.probe != nil && !errors.Is(x.probe, ctnl.ErrPermission) && !errors.Is(x.probe, ctnl.ErrNoConntrack) {
		return nil, x.probe
	}
	x.readFiles(ns)
	if x.cpus, x.cpusErr = k.CPUStats(ctx); x.cpusErr != nil {
		x.cpus, _, x.cpusErr = ns.ProcStats()
	}
	x.subscribe(ns)
	x.firewall, x.firewallErr = ruleset.Look(ns)
	x.userns = tryUserNS(ctx)
	x.confines, x.landlock = confine.Able(), confine.Landlock()
	x.looks = hasCap(unix.CAP_SYS_PTRACE) && hasCap(unix.CAP_DAC_READ_SEARCH)
	x.sockets = ns.Sockets(func(*ctnl.InetSocket) {})
	return x, nil
}

// readFiles reads what /proc and /sys tell anybody who may enter ns.
func (x *Exam) readFiles(ns *ctnl.Netns) {
	number := func(name string) (s model.Setting) {
		text, err := ns.Sysctl(name)
		if err != nil {
			return s
		}
		v, err := strconv.ParseInt(text, 10, 64)
		return model.Setting{Value: v, OK: err == nil}
	}
	if !x.entries.OK {
		x.entries = number("nf_conntrack_count")
	}
	x.logInvalid = number("nf_conntrack_log_invalid")
	for i, family := range []string{"2", "10"} {
		x.loggers[i], _ = ns.Sysctl("nf_log/" + family)
	}
	if b, err := os.ReadFile("/proc/sys/net/core/rmem_max"); err == nil {
		v, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		x.rmemMax = model.Setting{Value: v, OK: err == nil}
	}
	x.helpers = ruleset.HelperModules()
}

// subscribe joins the groups of events and leaves them again.
func (x *Exam) subscribe(ns *ctnl.Netns) {
	w, err := ctnl.Watch(ns, ctnl.WatchOptions{})
	if err != nil {
		x.join = err
		return
	}
	x.rcvbuf, x.forced = w.RcvBuf()
	x.advised = ctnl.AdvisedRcvBuf()
	_ = w.Close()
}

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// hasCap reports whether a capability below 32 is effective in this process.
func hasCap(n int) bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&hdr, &data[0]) == nil && data[0].Effective&(1<<n) != 0
}

// tryUserNS starts a process in a user and a network namespace of its own, as ctview demo does without root, and
// returns why that is not possible. The process is this program telling its version, which is thrown away.
func tryUserNS(ctx context.Context) error {
	c := exec.CommandContext(ctx, "/proc/self/exe", "version")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	err := c.Run()
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err // "fork/exec /proc/self/exe" tells a user nothing
	}
	return err
}
