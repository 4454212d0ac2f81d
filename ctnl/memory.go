package ctnl

import (
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

const (
	// rcvBufShare is what part of the free memory an event socket asks for at most. The kernel counts twice that, so a reader
	// that stands still holds an eighth of it.
	rcvBufShare = 16
	// minRcvBuf holds some 200 events; net.core.rmem_default is about as much.
	minRcvBuf = 128 << 10
)

// AdvisedRcvBuf is the receive buffer, in bytes as asked for, that a Watcher takes by itself: DefaultRcvBuf where the
// memory that is free now allows it, less on small machines. What is queued for a reader that stands still is taken from
// everybody else: better that it costs events, which are counted and repaired.
func AdvisedRcvBuf() int {
	free, ok := FreeMemory()
	if !ok {
		return DefaultRcvBuf
	}
	return rcvBufFor(free)
}

// FreeMemory returns how many bytes this process could still take: what the machine has available (MemAvailable), or less
// where its cgroup or one above allows less (version 1 and 2). ok is false where nothing can be read.
func FreeMemory() (free uint64, ok bool) { return freeMemory(os.DirFS("/")) }

func rcvBufFor(free uint64) int {
	return int(max(minRcvBuf, min(DefaultRcvBuf, free/rcvBufShare)))
}

// freeMemory is FreeMemory below root.
func freeMemory(root fs.FS) (free uint64, ok bool) {
	free = math.MaxUint64
	if kb, found := field(root, "proc/meminfo", "MemAvailable:"); found {
		free, ok = kb*1024, true
	}
	list, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range strings.Lines(string(list)) {
		// hierarchy:controllers:path, cgroups(7); version 2 is hierarchy 0 without controllers.
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[0] == "0" && parts[1] == "":
			for _, mount := range []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"} {
				free, ok = leastRoom(root, mount, parts[2], cgroup2, free, ok)
			}
		case strings.Contains(","+parts[1]+",", ",memory,"):
			free, ok = leastRoom(root, "sys/fs/cgroup/memory", parts[2], cgroup1, free, ok)
		}
	}
	return free, ok
}

// cgroupFiles are where a version of cgroups keeps a limit, what is used, and how much of that is file cache that nobody
// needs now.
type cgroupFiles struct{ limit, used, stat, cache string }

var (
	cgroup2 = cgroupFiles{"memory.max", "memory.current", "memory.stat", "inactive_file"}
	cgroup1 = cgroupFiles{"memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "total_inactive_file"}
)

// leastRoom lowers free to the room of the group dir below mount and of all above it. In a container the path may be
// that of the host, of which only the top is mounted: what is not there is passed over.
func leastRoom(root fs.FS, mount, dir string, f cgroupFiles, free uint64, ok bool) (uint64, bool) {
	for dir = path.Clean("/" + dir); ; dir = path.Dir(dir) {
		at := path.Join(mount, dir)
		limit, hasLimit := field(root, path.Join(at, f.limit), "")
		used, hasUsed := field(root, path.Join(at, f.used), "")
		if hasLimit && hasUsed {
			cache, _ := field(root, path.Join(at, f.stat), f.cache)
			used -= min(used, cache)
			free, ok = min(free, limit-min(limit, used)), true
		}
		if dir == "/" {
			return free, ok
		}
	}
}

// field reads the number after name in a file, or the file's first where name is "". "max" is none.
func field(root fs.FS, file, name string) (n uint64, ok bool) {
	b, err := fs.ReadFile(root, file)
	if err != nil {
		return 0, false
	}
	words := strings.Fields(string(b))
	for i, w := range words {
		if name == "" || i > 0 && words[i-1] == name {
			n, err := strconv.ParseUint(w, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
