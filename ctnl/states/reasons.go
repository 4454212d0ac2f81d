package states

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"ctview/ctnl"
	"ctview/ctnl/notrack/ruleset"
)

// The settings that make the kernel tell why a packet is INVALID, by namespace.
const (
	logInvalid = "/proc/sys/net/netfilter/nf_conntrack_log_invalid"
	logger4    = "/proc/sys/net/netfilter/nf_log/2"  // AF_INET
	logger6    = "/proc/sys/net/netfilter/nf_log/10" // AF_INET6
)

var reasonSettings = [...]setting{
	{logger4, "nfnetlink_log"}, {logger6, "nfnetlink_log"}, {logInvalid, "255"},
}

// A saved is what stood in the settings before, in a file of the runtime directory, so that a later ctview can put it
// back where this one was killed.
type saved struct {
	PID    int
	Start  string // start time of the process: PIDs come again
	Netns  string
	Boot   string
	Before map[string]string // values by their files
}

// text returns what stands in the file: a line for each, its name first.
func (s *saved) text() []byte {
	b := fmt.Appendf(nil, "pid %d\nstart %s\nnetns %s\nboot %s\n", s.PID, s.Start, s.Netns, s.Boot)
	for path, v := range s.Before {
		b = fmt.Appendf(b, "%s %s\n", path, v)
	}
	return b
}

// parse reads what text wrote; what else a file may hold leaves fields empty, which no process, namespace or boot is.
func (s *saved) parse(text string) {
	s.Before = map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch name {
		case "pid":
			s.PID, _ = strconv.Atoi(value)
		case "start":
			s.Start = value
		case "netns":
			s.Netns = value
		case "boot":
			s.Boot = value
		default:
			s.Before[name] = value // of which putBack takes what it knows
		}
	}
}

// A reasons holds the settings until restore.
type reasons struct {
	ns   ruleset.Namespace
	file string
	was  map[string]string
	log  *nflog
	once sync.Once
	err  error
}

// openReasons binds log group 0, where such messages go, saves the settings and changes them.
func openReasons(ns ruleset.Namespace) (*reasons, error) {
	if _, err := RestoreReasons(ns); err != nil {
		return nil, err
	}
	log, err := openLog(ns, 0)
	if errors.Is(err, ErrBusy) {
		return nil, fmt.Errorf("states: the kernel sends its reasons to log group 0: %w (ulogd?)", ErrBusy)
	}
	if err != nil {
		return nil, err
	}
	r := &reasons{ns: ns, log: log, was: map[string]string{}}
	if err := r.enable(); err != nil {
		_ = r.restore()
		return nil, err
	}
	return r, nil
}

func (r *reasons) enable() error {
	for _, s := range reasonSettings {
		v, err := readSetting(r.ns, s.path)
		if err != nil {
			return err
		}
		r.was[s.path] = v
	}
	if err := r.save(); err != nil {
		return err
	}
	for _, s := range reasonSettings {
		if err := writeSetting(r.ns, s.path, s.value); err != nil {
			return err
		}
	}
	return nil
}

// restore puts the settings back and removes the file. It may be called more than once.
func (r *reasons) restore() error {
	r.once.Do(func() {
		r.log.close()
		r.err = putBack(r.ns, r.was)
		if r.err == nil && r.file != "" {
			r.err = os.Remove(r.file)
			_ = os.Remove(filepath.Dir(r.file)) // unless another ctview has a file there
		}
	})
	return r.err
}

// putBack writes settings in the reverse order: the logging first. A setting that no longer is as ctview left it was changed
// by somebody else since, and stays; so does one for which what is to be written is no value that it can have.
func putBack(ns ruleset.Namespace, was map[string]string) error {
	var errs []error
	for i := len(reasonSettings) - 1; i >= 0; i-- {
		s := &reasonSettings[i]
		v, ok := was[s.path]
		if !ok || !s.valid(v) {
			continue
		}
		now, err := readSetting(ns, s.path)
		if err == nil && now == s.value && now != v {
			err = writeSetting(ns, s.path, v)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// A setting is one of the reasonSettings.
type setting struct{ path, value string }

// valid reports whether v is what the kernel shows for the setting: a protocol number (0 none, 255 all), a logger's name.
func (s *setting) valid(v string) bool {
	if s.path == logInvalid {
		n, err := strconv.ParseUint(v, 10, 8)
		return err == nil && v == strconv.FormatUint(n, 10)
	}
	return v != "" && len(v) < 64 && strings.Trim(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// save writes the file, complete or not at all.
func (r *reasons) save() error {
	dir, err := runtimeDir(true)
	if err != nil {
		return err
	}
	id, err := netnsID(r.ns)
	if err != nil {
		return err
	}
	now := saved{PID: os.Getpid(), Start: startTime(os.Getpid()), Netns: id + cookieOf(r.ns), Boot: bootID(), Before: r.was}
	file := filepath.Join(dir, "log-invalid-"+id)
	tmp, err := os.CreateTemp(dir, "log-invalid-*.tmp")
	if err != nil {
		return fmt.Errorf("states: %w", err)
	}
	_, err = tmp.Write(now.text())
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Link(tmp.Name(), file) // fails where the file exists: another ctview has changed them
	}
	_ = os.Remove(tmp.Name())
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("states: another ctview has the kernel log INVALID packets already (%s)", file)
	}
	if err != nil {
		return fmt.Errorf("states: %w", err)
	}
	r.file = file
	return nil
}

// RestoreReasons puts the settings back that a ctview left changed in this namespace because it was killed. It reports
// whether there was something to do.
func RestoreReasons(ns ruleset.Namespace) (bool, error) {
	dir, err := runtimeDir(false)
	if err != nil {
		return false, nil // no file that could be trusted
	}
	id, err := netnsID(ns)
	if err != nil {
		return false, err
	}
	file := filepath.Join(dir, "log-invalid-"+id)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("states: %w", err)
	}
	var s saved
	if s.parse(string(b)); s.Boot != bootID() || s.Netns != id+cookieOf(ns) {
		return false, os.Remove(file) // of another boot or an earlier namespace, or broken: nothing to go by
	}
	if st := startTime(s.PID); st != "" && st == s.Start {
		return false, nil // it is alive
	}
	if err := putBack(ns, s.Before); err != nil {
		return false, err
	}
	err = os.Remove(file)
	_ = os.Remove(dir)
	return true, err
}

// Left reports whether a ctview may have left settings changed, in whichever namespace: two looks at the file system.
func Left() bool {
	dir, err := runtimeDir(false)
	if err != nil {
		return false
	}
	files, err := os.ReadDir(dir)
	return err == nil && len(files) > 0
}

// errNoDir is why settings are not changed.
var errNoDir = errors.New("what is to be put back after a crash can be kept only where root alone may write: run ctview as root (sudo)")

// runtimeDir is where files live that a boot empties and that nobody else can write: what they say is written to the kernel.
// That is /run for root, whatever the environment says: sudo may have kept it of somebody else. Root of a user namespace may
// not write there; XDG_RUNTIME_DIR or the directory of temporary files do as well for it, if they are safe. A user who is not
// root has none: with capabilities of the program file or of a service, the one who called it owns every directory that it
// could use.
func runtimeDir(create bool) (string, error) {
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("states: %w", errNoDir)
	}
	var first error
	for _, parent := range runtimeParents(inUserNamespace()) {
		d := filepath.Join(parent, "ctview-"+strconv.Itoa(os.Geteuid()))
		err := private(parent, d, create)
		if err == nil {
			return d, nil
		}
		if first == nil {
			first = err
		}
	}
	return "", first
}

// runtimeParents are the directories that runtimeDir tries to be in, the best first. userns: root is root of a user namespace.
func runtimeParents(userns bool) []string {
	dirs := []string{"/run"}
	if !userns {
		return dirs
	}
	if d := os.Getenv("XDG_RUNTIME_DIR"); d != "" {
		dirs = append(dirs, d)
	}
	return append(dirs, os.TempDir())
}

// inUserNamespace reports whether root is root of a user namespace alone: there not every ID is mapped to itself.
func inUserNamespace() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && !slices.Equal(strings.Fields(string(b)), []string{"0", "0", "4294967295"})
}

// private makes a directory that is this user's alone, or reports why it is not: nobody else may write it, nor put another
// in its place.
func private(parent, dir string, create bool) error {
	var st unix.Stat_t
	if err := unix.Stat(parent, &st); err != nil {
		return fmt.Errorf("states: %s: %w", parent, err)
	}
	if sticky := st.Mode&unix.S_ISVTX != 0; !sticky && (st.Uid != 0 || st.Mode&0o022 != 0) {
		return fmt.Errorf("states: %s can be written by others", parent)
	}
	if create {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("states: %w", err)
		}
	}
	if err := unix.Lstat(dir, &st); err != nil || int(st.Uid) != os.Geteuid() || st.Mode&0o777 != 0o700 || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fmt.Errorf("states: %s is not a private directory of this user", dir)
	}
	return nil
}

// cookieOf tells a namespace from one that had its inode before: SO_NETNS_COOKIE, which is never given again. "" before Linux 5.14.
func cookieOf(ns ruleset.Namespace) (cookie string) {
	_ = ns.Do(func() error { // where it fails the inode has to do
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		n, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
		if err == nil {
			cookie = " " + strconv.FormatUint(n, 10)
		}
		return err
	})
	return cookie
}

// netnsID names a namespace while it lives.
func netnsID(ns ruleset.Namespace) (string, error) {
	var st unix.Stat_t
	err := ns.Do(func() error { return unix.Stat("/proc/thread-self/ns/net", &st) })
	if err != nil {
		return "", fmt.Errorf("states: %w", err)
	}
	return fmt.Sprintf("%d-%d", st.Dev, st.Ino), nil
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

// startTime returns when a process started, in ticks since boot; "" where there is none.
func startTime(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 20 {
		return ""
	}
	return f[19]
}

func readSetting(ns ruleset.Namespace, path string) (string, error) {
	var b []byte
	err := ns.Do(func() (err error) {
		b, err = os.ReadFile(path)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("states: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func writeSetting(ns ruleset.Namespace, path, value string) error {
	err := ns.Do(func() error { return os.WriteFile(path, []byte(value), 0) })
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("states: set %s: %w", filepath.Base(path), ctnl.ErrPermission)
	}
	if err != nil {
		return fmt.Errorf("states: %w", err)
	}
	return nil
}
