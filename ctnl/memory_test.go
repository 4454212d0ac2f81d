package ctnl_test

import (
	"os"
	"testing"
	"testing/fstest"

	"ctview/ctnl"
	"ctview/model"
)

func TestFreeMemory(t *testing.T) {
	const mb = 1 << 20
	files := func(pairs ...string) fstest.MapFS {
		m := fstest.MapFS{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
		}
		return m
	}
	const meminfo = "MemTotal:  200000 kB\nMemFree:  10 kB\nMemAvailable:  102400 kB\n" // 100 MiB
	for _, tt := range []struct {
		name string
		root fstest.MapFS
		free uint64
		ok   bool
	}{
		{"nothing to read", files(), 0, false},
		{"the machine's", files("proc/meminfo", meminfo), 100 * mb, true},
		{"version 2, no limit", files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/a\n",
			"sys/fs/cgroup/a/memory.max", "max\n", "sys/fs/cgroup/a/memory.current", "5\n"), 100 * mb, true},
		{"version 2, limit less what is used", files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/a\n",
			"sys/fs/cgroup/a/memory.max", "52428800\n", "sys/fs/cgroup/a/memory.current", "20971520\n"), 30 * mb, true},
		{"file cache can go", files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/a\n",
			"sys/fs/cgroup/a/memory.max", "52428800\n", "sys/fs/cgroup/a/memory.current", "20971520\n",
			"sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file 10485760\n"), 40 * mb, true},
		{"the group above has less", files("proc/meminfo", meminfo, "proc/self/cgroup", "0::/a/b\n",
			"sys/fs/cgroup/a/memory.max", "10485760\n", "sys/fs/cgroup/a/memory.current", "0\n",
			"sys/fs/cgroup/a/b/memory.max", "52428800\n", "sys/fs/cgroup/a/b/memory.current", "0\n"), 10 * mb, true},
		{"version 1", files("proc/meminfo", meminfo, "proc/self/cgroup", "4:cpu,memory:/x\n0::/\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes", "20971520\n",
			"sys/fs/cgroup/memory/x/memory.usage_in_bytes", "10485760\n"), 10 * mb, true},
		{"in a container the host's path", files("proc/meminfo", meminfo, "proc/self/cgroup", "4:memory:/docker/123\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes", "20971520\n", "sys/fs/cgroup/memory/memory.usage_in_bytes", "0\n"), 20 * mb, true},
		{"more used than allowed", files("proc/self/cgroup", "0::/\n",
			"sys/fs/cgroup/memory.max", "5\n", "sys/fs/cgroup/memory.current", "6\n"), 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			free, ok := ctnl.FreeMemoryBelow(tt.root)
			if ok != tt.ok || ok && free != tt.free {
				t.Errorf("free %d, %v; want %d, %v", free, ok, tt.free, tt.ok)
			}
		})
	}
}

func TestRcvBufFor(t *testing.T) {
	for _, tt := range []struct {
		free uint64
		want int
	}{
		{0, 128 << 10},
		{51 << 20, 51 << 16}, // a router with 112 MB: the kernel counts 6.7 MB
		{1 << 30, ctnl.DefaultRcvBuf},
		{1 << 40, ctnl.DefaultRcvBuf},
	} {
		if got := ctnl.RcvBufFor(tt.free); got != tt.want {
			t.Errorf("%d free: %d, want %d", tt.free, got, tt.want)
		}
	}
}

// TestStalledReader: what is queued for a reader that stands still stays within the buffer, and what did not fit is
// counted.
func TestStalledReader(t *testing.T) {
	_, ns, k := newKernel(t)
	const buffer = 256 << 10
	w, err := ctnl.Watch(ns, ctnl.WatchOptions{RcvBuf: buffer})
	if err != nil {
		t.Fatal(err)
	}
	const flows = 5000
	fill(t, k, flows)
	// One message more may be taken than fits (netlink_attachskb looks before it adds).
	if n := w.Queued(); n == 0 || n > 2*buffer+16<<10 {
		t.Errorf("%d bytes are queued, the buffer is %d", n, 2*buffer)
	}
	r := &recorder{}
	runWatch(t, w, r)
	r.until(t, "all events, got or lost", func() bool { return r.lost > 0 && len(r.evs)+int(r.lost) == flows })
	if rows := dump(t, ns, model.KernelFilter{}); len(rows) != flows {
		t.Errorf("%d flows in the kernel, want %d", len(rows), flows)
	}
}

// TestSmallMachine makes and flushes 15,000 flows for a reader that stands still, with the buffer that a Watcher takes by
// itself: no more is queued than an eighth of what was free. It means most where there is little: make test-kernels
// RUN=TestSmallMachine PKG=./ctnl MEM=256.
func TestSmallMachine(t *testing.T) {
	_, ns, k := newKernel(t)
	free, ok := ctnl.FreeMemoryBelow(os.DirFS("/"))
	if !ok {
		t.Fatal("no MemAvailable")
	}
	w, err := ctnl.Watch(ns, ctnl.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const flows = 15000
	fill(t, k, flows)
	if err := k.Flush(testContext(t), 0); err != nil {
		t.Fatal(err)
	}
	queued := w.Queued()
	if most := max(free/8, 256<<10) + 16<<10; uint64(queued) > most {
		t.Errorf("%d bytes are queued; %d were free, an eighth is %d", queued, free, free/8)
	}
	r := &recorder{}
	runWatch(t, w, r)
	r.until(t, "all events, got or lost", func() bool { return len(r.evs)+int(r.lost) == 2*flows })
	t.Logf("%d MiB free, %d KiB queued, %d events lost", free>>20, queued>>10, r.lost)
}
