package ctnl_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"
	"ctview/model/table"

	"github.com/google/go-cmp/cmp"
)

func TestDeleteMany(t *testing.T) {
	_, ns, k := newKernel(t)
	ctx := testContext(t)
	fill(t, k, 3000)
	var targets []ctnl.Target
	for _, e := range dump(t, ns, model.KernelFilter{}) {
		if e.Flow.Src[15]%2 == 0 {
			targets = append(targets, ctnl.Target{Key: e.Flow.Key, ID: e.Flow.ID})
		}
	}
	want := len(targets)
	targets[7].ID++                                       // another flow's ID
	targets = append(targets, ctnl.Target{Key: nth(1e6)}) // no such flow
	var told []int
	res, err := k.DeleteMany(ctx, targets, func(done int) { told = append(told, done) })
	if err != nil || res.Deleted != want-1 || res.Gone != 2 || len(res.Failed) != 0 {
		t.Errorf("%+v, %v; want %d deleted, 2 gone", res, err, want-1)
	}
	if len(told) < 2 || told[len(told)-1] != len(targets) {
		t.Errorf("progress %v", told)
	}
	if n, _, _ := k.Count(ctx); int(n) != 3000-want+1 {
		t.Errorf("%d left, want %d", n, 3000-want+1)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := k.DeleteMany(cancelled, targets, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestDeleteFrom deletes while the dump that finds the flows goes on.
func TestDeleteFrom(t *testing.T) {
	_, ns, k := newKernel(t)
	ctx := testContext(t)
	fill(t, k, 5000)
	batches := make(chan []ctnl.Target)
	type answer struct {
		res ctnl.DeleteResult
		err error
	}
	done := make(chan answer)
	go func() {
		res, err := k.DeleteFrom(ctx, batches, nil)
		done <- answer{res, err}
	}()
	err := ctnl.DumpTo(ctx, ns, model.KernelFilter{}, func(evs []model.Event) error {
		var ts []ctnl.Target
		for i := range evs {
			ts = append(ts, ctnl.Target{Key: evs[i].Flow.Key, ID: evs[i].Flow.ID})
		}
		batches <- ts
		return nil
	})
	batches <- []ctnl.Target{{Key: nth(1e6)}} // no such flow
	close(batches)
	if a := <-done; err != nil || a.err != nil || a.res.Deleted != 5000 || a.res.Gone < 1 || len(a.res.Failed) != 0 {
		t.Errorf("%+v, %v, dump: %v; want 5000 deleted, 1 gone", a.res, a.err, err)
	}
	if n, _, _ := k.Count(ctx); n != 0 {
		t.Errorf("%d left", n)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	many := make(chan []ctnl.Target, 3)
	for range cap(many) {
		many <- []ctnl.Target{{Key: nth(1)}}
	}
	close(many)
	if _, err := k.DeleteFrom(cancelled, many, nil); !errors.Is(err, context.Canceled) || len(many) != 0 {
		t.Errorf("cancelled: %v, %d batches not received", err, len(many))
	}
}

// TestReplyTuple: the kernel finds a flow by its reply tuple too. Such an answer is not the flow asked for.
func TestReplyTuple(t *testing.T) {
	_, _, k := newKernel(t)
	ctx := testContext(t)
	s := spec(key(model.ProtoUDP, "192.0.2.1:1000", "192.0.2.2:53"))
	if err := k.Create(ctx, s); err != nil {
		t.Fatal(err)
	}
	reply := key(model.ProtoUDP, "192.0.2.2:53", "192.0.2.1:1000")
	if e, err := k.Get(ctx, reply); !errors.Is(err, ctnl.ErrGone) {
		t.Errorf("Get by reply tuple: %+v, %v", e, err)
	}
	if err := k.Delete(ctx, reply, 0); !errors.Is(err, ctnl.ErrGone) {
		t.Errorf("Delete by reply tuple: %v", err)
	}
}

func TestGetMany(t *testing.T) {
	_, _, k := newKernel(t)
	ctx := testContext(t)
	const n = 2000
	fill(t, k, n)
	keys := make([]model.Key, 0, 2*n)
	for i := range 2 * n { // every other one does not exist
		keys = append(keys, nth(i/2+i%2*1e6))
	}
	found, gone := map[int]bool{}, map[int]bool{}
	err := k.GetMany(ctx, keys, func(i int, e *model.Event, err error) {
		switch {
		case err == nil && e.Flow.Key == keys[i]:
			found[i] = true
		case errors.Is(err, ctnl.ErrGone):
			gone[i] = true
		default:
			t.Errorf("%d: %v, %v", i, e, err)
		}
	})
	if err != nil || len(found) != n || len(gone) != n {
		t.Errorf("%d found, %d gone, %v", len(found), len(gone), err)
	}
}

// TestZones has the same tuple in a zone, in a zone tied to each direction, and in none.
func TestZones(t *testing.T) {
	_, ns, k := newKernel(t)
	ctx := testContext(t)
	base := key(model.ProtoTCP, "192.0.2.1:1000", "192.0.2.2:80")
	var keys []model.Key
	for i, z := range []struct {
		zone uint16
		dir  model.ZoneDir
	}{{0, 0}, {5, model.ZoneBoth}, {6, model.ZoneOrig}, {7, model.ZoneReply}} {
		key := base
		key.Zone, key.ZoneDir = z.zone, z.dir
		key.Sport += uint16(z.dir) // its other direction is in zone 0, where base is
		s := spec(key)
		s.Flow.Mark, s.Has = uint32(i), s.Has|model.HasMark
		if err := k.Create(ctx, s); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	for i, key := range keys {
		e, err := k.Get(ctx, key)
		if err != nil || e.Flow.Key != key || e.Flow.Mark != uint32(i) {
			t.Errorf("%d: %+v, %v", i, e.Flow, err)
		}
	}
	for _, z := range []uint16{0, 5, 6, 7} {
		rows := dump(t, ns, model.KernelFilter{Zone: z, HasZone: true})
		if len(rows) != 1 || rows[0].Flow.Zone != z {
			t.Errorf("zone %d: %d rows", z, len(rows))
		}
	}
	for i, key := range keys {
		if err := k.Delete(ctx, key, 0); err != nil {
			t.Errorf("delete %d: %v", i, err)
		}
		if n, _, _ := k.Count(ctx); int(n) != len(keys)-i-1 {
			t.Errorf("%d left after %d", n, i)
		}
	}
}

// TestDumpFilter compares what the kernel filters with the same done here.
func TestDumpFilter(t *testing.T) {
	_, ns, k := newKernel(t)
	ctx := testContext(t)
	for i := range 64 {
		src, dst := "192.0.2.1", "192.0.2.2"
		if i&1 != 0 {
			src, dst = "[2001:db8::1]", "[2001:db8::2]"
		}
		s := spec(key(model.ProtoUDP, fmt.Sprintf("%s:%d", src, 1000+i), dst+":53"))
		s.Flow.Mark, s.Flow.Zone = uint32(i>>1&3)<<4, uint16(i>>3&3)
		s.Has |= model.HasMark | model.HasStatus
		if i&32 != 0 {
			s.Flow.Status = model.StatusSeenReply
		}
		if err := k.Create(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	all := dump(t, ns, model.KernelFilter{})
	// Kernels before 6.8 know no CTA_ZONE in a dump (ctnetlink_alloc_filter): they send all, and Dump sorts them out.
	info, err := ctnl.Dump(ctx, ns, ctnl.DumpOptions{Filter: model.KernelFilter{HasZone: true, Zone: 9}}, func([]model.Event) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	zones := info.Rows == 0
	for _, f := range []model.KernelFilter{
		{Family: model.IPv4}, {Family: model.IPv6},
		{HasMark: true, Mark: 0x10, MarkMask: 0xffffffff}, {HasMark: true, Mark: 0x1f, MarkMask: 0x10},
		{HasMark: true, MarkMask: 0x30}, {HasMark: true},
		{HasStatus: true, Status: model.StatusSeenReply, StatusMask: model.StatusSeenReply},
		{HasStatus: true, StatusMask: model.StatusSeenReply}, {HasStatus: true},
		{HasZone: true}, {HasZone: true, Zone: 3}, {HasZone: true, Zone: 9},
		{Family: model.IPv6, HasMark: true, MarkMask: 0x10, HasZone: true, Zone: 2, HasStatus: true, StatusMask: model.StatusSeenReply},
	} {
		var want, got []uint16
		for i := range all {
			if f.Match(&all[i].Flow) {
				want = append(want, all[i].Flow.Sport)
			}
		}
		rows := 0
		info, err := ctnl.Dump(ctx, ns, ctnl.DumpOptions{Filter: f}, func(batch []model.Event) error {
			rows += len(batch)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range dump(t, ns, f) {
			got = append(got, e.Flow.Sport)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v: (-want +got):\n%s", f, diff)
		}
		if f.HasZone && !zones {
			if info.Passed != rows || info.Rows < rows {
				t.Errorf("%+v: %d rows were handed on: %+v", f, rows, info)
			}
		} else if info.Rows != info.Passed || info.Passed != rows || (rows > 0 && rows < len(all) && !info.Filtered) {
			t.Errorf("%+v: the kernel did not filter: %+v", f, info)
		}
	}
}

func TestDumpZero(t *testing.T) {
	l, ns := newNS(t)
	if err := ns.SetSysctl("nf_conntrack_acct", "1"); err != nil {
		t.Fatal(err)
	}
	if err := l.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	c, err := l.Dial(testContext(t), "udp", "", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	packets := func(opt ctnl.DumpOptions) (n uint64) {
		if _, err := ctnl.Dump(testContext(t), ns, opt, func(batch []model.Event) error {
			for i := range batch {
				if batch[i].Flow.Known&model.KnownCounters == 0 {
					t.Error("no counters")
				}
				n += batch[i].Flow.Packets[0]
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := packets(ctnl.DumpOptions{Zero: true}); n == 0 {
		t.Error("no packets before")
	}
	if n := packets(ctnl.DumpOptions{}); n != 0 {
		t.Errorf("%d packets after", n)
	}
	for _, source := range []ctnl.DumpSource{ctnl.Dying, ctnl.Unconfirmed} {
		if n := packets(ctnl.DumpOptions{Source: source}); n != 0 {
			t.Errorf("source %d: %d packets", source, n)
		}
	}
}

// TestDumpStops: an error of the function ends the dump and comes back as it is, a cancelled context too.
func TestDumpStops(t *testing.T) {
	_, ns, k := newKernel(t)
	fill(t, k, 3000)
	mine := errors.New("mine")
	n := 0
	err := ctnl.DumpTo(testContext(t), ns, model.KernelFilter{}, func(batch []model.Event) error {
		n += len(batch)
		return mine
	})
	if err != mine || n == 0 || n > 256 {
		t.Errorf("%v after %d rows", err, n)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	err = ctnl.DumpTo(ctx, ns, model.KernelFilter{}, func([]model.Event) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) && err != nil {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFlush(t *testing.T) {
	_, _, k := newKernel(t)
	ctx := testContext(t)
	make := func() {
		for _, key := range []model.Key{nth(1), key(model.ProtoUDP, "[2001:db8::1]:1", "[2001:db8::2]:2")} {
			if err := k.Create(ctx, spec(key)); err != nil && !errors.Is(err, ctnl.ErrExists) {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		family model.Family
		left   uint32
	}{{model.IPv4, 1}, {model.IPv6, 1}, {0, 0}} {
		make()
		if err := k.Flush(ctx, tt.family); err != nil {
			t.Fatal(err)
		}
		if n, _, _ := k.Count(ctx); n != tt.left {
			t.Errorf("family %v: %d left, want %d", tt.family, n, tt.left)
		}
	}
}

func TestExpectations(t *testing.T) {
	_, ns, k := newKernel(t)
	ctx := testContext(t)
	var seen []model.Expect
	done := make(chan struct{}, 10)
	_, _ = startWatch(t, ns, ctnl.WatchOptions{Expect: func(_ int64, xs []model.Expect) {
		seen = append(seen, xs...)
		for range xs {
			done <- struct{}{}
		}
	}})
	s := spec(key(model.ProtoTCP, "192.0.2.1:1000", "192.0.2.2:21"))
	s.HelperName, s.Has = "ftp", s.Has|model.HasHelper
	if err := k.Create(ctx, s); err != nil {
		t.Fatal(err)
	}
	x := ftpExpect(s.Flow.Key)
	if err := k.CreateExpect(ctx, x); err != nil {
		t.Fatal(err)
	}
	got, err := k.GetExpect(ctx, x.Tuple, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got.Tuple != x.Tuple || got.Master != x.Master || got.Mask.Dport != 0xffff || got.Helper != "ftp" || got.ID == 0 || got.Timeout == 0 {
		t.Errorf("GetExpect: %+v", got)
	}
	x.Timeout = 1000
	if err := k.UpdateExpect(ctx, x); err != nil {
		t.Errorf("UpdateExpect: %v", err)
	}
	n := 0
	err = k.Expects(ctx, 0, func(row *model.Expect) error {
		n++
		if row.Kind != model.Dump || row.ID != got.ID || row.Timeout < 900 {
			t.Errorf("row %+v", row)
		}
		return nil
	})
	if err != nil || n != 1 {
		t.Errorf("Expects: %d rows, %v", n, err)
	}
	if err := k.DeleteExpect(ctx, x.Tuple, 0, got.ID+1); !errors.Is(err, ctnl.ErrGone) {
		t.Errorf("DeleteExpect with another ID: %v", err)
	}
	if err := k.DeleteExpect(ctx, x.Tuple, 0, got.ID); err != nil {
		t.Error(err)
	}
	if _, err := k.GetExpect(ctx, x.Tuple, 0); !errors.Is(err, ctnl.ErrGone) {
		t.Errorf("GetExpect after its end: %v", err)
	}
	if err := k.CreateExpect(ctx, x); err != nil {
		t.Fatal(err)
	}
	if err := k.FlushExpects(ctx); err != nil {
		t.Error(err)
	}
	for range 4 {
		<-done
	}
	kinds := ""
	for _, x := range seen {
		kinds += x.Kind.String() + " "
	}
	if kinds != "new destroy new destroy " {
		t.Errorf("events: %s", kinds)
	}
	if stats, err := k.ExpectStats(ctx); err != nil || len(stats) == 0 || stats[0].Has == 0 {
		t.Errorf("ExpectStats: %+v, %v", stats, err)
	}
}

func TestStats(t *testing.T) {
	_, _, k := newKernel(t)
	ctx := testContext(t)
	fill(t, k, 5)
	stats, err := k.CPUStats(ctx)
	if err != nil || len(stats) == 0 {
		t.Fatalf("CPUStats: %v, %v", stats, err)
	}
	inserts := uint32(0)
	for i, s := range stats {
		if s.CPU != i || s.Has&(1<<4|1<<8|1<<14) == 0 {
			t.Errorf("CPU %d: %+v", i, s)
		}
		inserts += s.Values[8] // CTA_STATS_INSERT
	}
	if inserts != 5 {
		t.Errorf("%d inserts, want 5", inserts)
	}
	sys, err := k.System(ctx)
	if err != nil || sys.Entries != 5 || !sys.EntriesOK || !sys.Max.OK || !sys.Buckets.OK || !sys.Acct.OK || !sys.Events.OK ||
		sys.TCPTimeouts[model.TCPEstablished].Value != 432000 || sys.Host == "" {
		t.Errorf("System: %+v, %v", sys, err)
	}
}

// asNobody is set for the process that TestNoPermission starts.
const asNobody = "CTVIEW_TEST_AS_NOBODY"

// TestNoPermission runs itself as an unprivileged user: every way in says ErrPermission.
func TestNoPermission(t *testing.T) {
	if os.Getenv(asNobody) == "" {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir() // the user must be able to run it
		copied := dir + "/test"
		if out, err := exec.Command("sh", "-c", "cp "+exe+" "+copied+" && chmod -R 755 "+dir+" "+dir+"/..").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		cmd := exec.Command("setpriv", "--reuid", "65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", copied,
			"-test.run", "^TestNoPermission$", "-test.v")
		cmd.Env = append(os.Environ(), asNobody+"=1", lab.InsideEnv+"=1") // as it is: not as root of a user namespace
		cmd.Dir = "/"
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "PASS: TestNoPermission") {
			t.Fatalf("as nobody: %v\n%s", err, out)
		}
		return
	}
	ns, err := ctnl.OpenNetns("")
	if err != nil {
		t.Fatal(err)
	}
	k := ctnl.NewKernel(ns)
	ctx := testContext(t)
	_, watchErr := ctnl.Watch(ns, ctnl.WatchOptions{})
	_, syncErr := ctnl.NewSyncer(ns, table.New(), ctnl.SyncOptions{})
	_, _, countErr := k.Count(ctx)
	for what, err := range map[string]error{
		"watch":  watchErr,
		"sync":   syncErr,
		"count":  countErr,
		"probe":  k.Probe(ctx),
		"dump":   ctnl.DumpTo(ctx, ns, model.KernelFilter{}, func([]model.Event) error { return nil }),
		"delete": k.Delete(ctx, nth(1), 0),
		"create": k.Create(ctx, spec(nth(1))),
		"sysctl": ns.SetSysctl("nf_conntrack_acct", "0"),
	} {
		if !errors.Is(err, ctnl.ErrPermission) {
			t.Errorf("%s: %v, want ErrPermission", what, err)
		}
	}
	if _, err := ctnl.OpenNetns("1"); !errors.Is(err, ctnl.ErrPermission) {
		t.Errorf("open a foreign namespace: %v", err)
	}
}
