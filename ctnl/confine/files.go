package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Files is what may still be opened after Restrict. What is open already is not touched. A path that is not there is none.
type Files struct {
	Read    []string // files, and directories with all that is below
	Write   []string // directories below which files may be made, read, written and removed
	Devices []string // device files, and directories of them: read, written, controlled
	Signals bool     // other processes may be sent signals
}

// The rights of Landlock, with the version of its interface that has them first.
const (
	readRights   = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	writeRights  = readRights | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	deviceRights = readRights | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	fileRights   = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV

	rights1 = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1 // the first thirteen, MAKE_SYM the last
)

// Restrict has the kernel refuse, on every thread and for good, all files but these, all programs, other processes' abstract
// sockets, and to look into other processes (/proc/PID/fd and /ns), which any domain of Landlock excludes.
// It returns the version of Landlock that the kernel has: 0 for none, and then nothing is refused. Call Keep before.
func Restrict(f Files) (version int, err error) {
	if version = Landlock(); version == 0 {
		return 0, nil
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: rights1}
	size := unsafe.Sizeof(attr.Handled_access_fs)
	for v, right := range map[int]uint64{2: unix.LANDLOCK_ACCESS_FS_REFER, 3: unix.LANDLOCK_ACCESS_FS_TRUNCATE, 5: unix.LANDLOCK_ACCESS_FS_IOCTL_DEV} {
		if version >= v {
			attr.Handled_access_fs |= right
		}
	}
	if version >= 4 {
		size += unsafe.Sizeof(attr.Handled_access_net) // nothing of it: TCP alone is seen, neither UDP nor MPTCP
	}
	if version >= 6 {
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
		if !f.Signals {
			attr.Scoped |= unix.LANDLOCK_SCOPE_SIGNAL
		}
		size += unsafe.Sizeof(attr.Scoped)
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return version, fmt.Errorf("landlock_create_ruleset: %w", errno)
	}
	rules := int(fd)
	defer unix.Close(rules)
	for _, set := range []struct {
		paths  []string
		rights uint64
	}{{f.Read, readRights}, {f.Write, writeRights}, {f.Devices, deviceRights}} {
		for _, path := range set.paths {
			if err := allow(rules, path, set.rights&attr.Handled_access_fs); err != nil {
				return version, fmt.Errorf("landlock: %s: %w", path, err)
			}
		}
	}
	if err := everyThread(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(rules), 0, 0, 0, 0); err != nil {
		return version, fmt.Errorf("landlock_restrict_self: %w", err)
	}
	return version, nil
}

// Landlock is the version of Landlock that the kernel has; 0 for none, or where it is switched off.
func Landlock() int {
	n, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// allow adds a rule for a file, or a directory and what is below.
func allow(rules int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= fileRights
	}
	// struct landlock_path_beneath_attr is packed: twelve bytes.
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("landlock_add_rule", errno)
	}
	return nil
}
