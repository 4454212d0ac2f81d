package ctcompat

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"ctview/ctnl"
	"ctview/model"

	"golang.org/x/sys/unix"
)

// lineWith returns the line of text that contains all of parts, "" if there is none.
func lineWith(text string, parts ...string) string {
next:
	for line := range strings.Lines(text) {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue next
			}
		}
		return line
	}
	return ""
}

// TestUpdateZone: of two flows with one tuple in two zones conntrack changes that of zone 0 twice, ctview each in its
// own zone, and one of them where -w asks for it.
func TestUpdateZone(t *testing.T) {
	w := newWorld(t)
	w.seed(deviationSeed)
	w.real("", split("-U -s 10.0.0.1 -p udp -m 9")...)
	if line := lineWith(w.real("", "-L").Stdout, "zone=5"); !strings.Contains(line, "mark=0 ") {
		t.Errorf("conntrack -U: %q; the documentation says that it does not change zoned flows", line)
	}
	w.mustOurs(split("-U -s 10.0.0.1 -p udp -m 9")...)
	if line := lineWith(w.real("", "-L").Stdout, "zone=5"); !strings.Contains(line, "mark=9 ") {
		t.Errorf("ctview conntrack -U: %q, want mark=9", line)
	}
	w.mustOurs(split("-U -s 10.0.0.1 -p udp -m 8 -w 5")...)
	list := w.real("", "-L").Stdout
	if line := lineWith(list, "zone=5"); !strings.Contains(line, "mark=8 ") {
		t.Errorf("ctview conntrack -U -w 5: %q, want mark=8", line)
	}
	if line := lineWith(list, "udp", "src=10.0.0.1", "mark=9"); line == "" {
		t.Errorf("ctview conntrack -U -w 5 changed the flow of zone 0:\n%s", list)
	}
}

// TestUpdateMany: conntrack stops with an error after some 200 flows.
func TestUpdateMany(t *testing.T) {
	w := newWorld(t)
	const n = 1000
	var seed []string
	for i := range n {
		seed = append(seed, fmt.Sprintf("-s 10.0.0.1 -d 10.0.0.2 -p udp --sport %d --dport 53 -t 1000", i+1))
	}
	w.seed(seed)
	r := w.mustOurs("-U", "-m", "7")
	if got := strings.Count(r.Stdout, "mark=7"); got != n || !strings.Contains(r.Stderr, ": 1000 flow entries have been updated.") {
		t.Errorf("-U of %d flows shows %d, stderr %q", n, got, r.Stderr)
	}
	if r := w.mustOurs("-D", "-m", "7"); !strings.Contains(r.Stderr, ": 1000 flow entries have been deleted.") {
		t.Errorf("-D of %d flows: %q", n, r.Stderr)
	}
}

// TestLabelDeletion: conntrack deletes all labels where the name is glued to --label-del, and where it is bit 96 or
// above; and -R crashes at the line after one with labels.
func TestLabelDeletion(t *testing.T) {
	w := newWorld(t)
	w.allowLabels()
	seed := []string{"-s 10.0.0.1 -d 10.0.0.2 -p udp --sport 1 --dport 2 -t 1000 --label-add customer,eth0-in,far"}
	labels := func(how func(string, ...string) result, line string) string {
		w.seed(seed)
		how("", split(line)...)
		_, labels, _ := strings.Cut(w.real("", "-L", "-o", "labels").Stdout, "labels=")
		return strings.TrimSpace(labels)
	}
	for _, tt := range []struct{ line, theirs, ours string }{
		{"-U -f ipv4 --label-del customer", "eth0-in,far", "eth0-in,far"},
		{"-U -f ipv4 --label-del far", "", "eth0-in,customer"},
		{"-U -f ipv4 --label-del=customer", "", "eth0-in,far"},
		{"-U -f ipv4 --label-del", "", ""},
		{"-U -f ipv4 --label-del 100", "eth0-in,customer,far", "eth0-in,customer"}, // numbers are ctview's
	} {
		if got := labels(w.real, tt.line); got != tt.theirs {
			t.Errorf("conntrack %s leaves %q, the documentation says %q", tt.line, got, tt.theirs)
		}
		if got := labels(w.ours, tt.line); got != tt.ours {
			t.Errorf("ctview conntrack %s leaves %q, want %q", tt.line, got, tt.ours)
		}
	}
	const file = "-A -s 10.1.0.1 -d 10.1.0.2 -p 50 -t 99 --label-add customer\n-A -s 10.1.0.3 -d 10.1.0.2 -p 50 -t 99 --label-add far\n"
	if r := w.real(file, "-R", "-"); r.Code != -1 {
		t.Errorf("conntrack -R with labels: %+v, the documentation says that it crashes", r)
	}
	w.seed(seed)
	if r := w.ours(file, "-R", "-"); r.Code != 0 {
		t.Errorf("ctview conntrack -R with labels: %+v", r)
	}
}

// TestRestoreMarks: in a file each -U has its own mark; conntrack takes that of the last line for all.
func TestRestoreMarks(t *testing.T) {
	w := newWorld(t)
	const file = "-U -s 10.0.0.1 -p tcp -m 11\n-U -s 10.0.0.1 -p udp -m 12\n"
	for _, c := range []struct {
		who  string
		how  func(string, ...string) result
		mark string
	}{{"conntrack", w.real, "mark=12"}, {"ctview conntrack", w.ours, "mark=11"}} {
		w.seed(deviationSeed)
		c.how(file, "-R", "-")
		if line := lineWith(w.real("", "-L", "-p", "tcp").Stdout, "tcp"); !strings.Contains(line, c.mark) {
			t.Errorf("%s -R: %q, want %s", c.who, line, c.mark)
		}
	}
}

// TestXML checks that a list is a whole document, that each element of what was changed is well-formed by itself, as
// scripts that wrap them rely on, and that states are the protocol's own.
func TestXML(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{"-L", "-G -s 10.0.0.1 -d 10.0.0.2 -p tcp --sport 1 --dport 80", "-U -f ipv6 -m 6", "-D -p udp"} {
		w.seed(deviationSeed)
		r := w.mustOurs(split(line + " -o xml,ktimestamp")...)
		text := r.Stdout
		switch line[:2] {
		case "-L":
			if !strings.HasPrefix(text, xmlHead+"<conntrack>\n<flow>") || !strings.HasSuffix(text, "</flow>\n</conntrack>\n") {
				t.Errorf("%s -o xml is no document: %q", line, text)
			}
		case "-G": // conntrack forgets the end
			text += "</conntrack>\n"
		default:
			text = "<mine>\n" + text + "</mine>\n"
			if strings.Contains(text, "<?xml") {
				t.Errorf("%s -o xml: a document of its own: %q", line, r.Stdout)
			}
		}
		d := xml.NewDecoder(strings.NewReader(text))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s -o xml: %v in\n%s", line, err, r.Stdout)
			}
		}
	}
	w.seed(deviationSeed)
	if r := w.mustOurs(split("-L -p sctp -o xml")...); !strings.Contains(r.Stdout, "<state>ESTABLISHED</state>") {
		t.Errorf("SCTP ESTABLISHED in XML: %s", r.Stdout)
	}
	if r := w.mustOurs(split("-L -p 99 -o xml")...); r.Stdout != "" {
		t.Errorf("no flows in XML: %q, want nothing, as conntrack", r.Stdout)
	}
}

// TestVersion checks the line that scripts look at.
func TestVersion(t *testing.T) {
	w := newWorld(t)
	want := w.real("", "-V").Stdout
	got := w.mustOurs("-V").Stdout
	if rest, ok := strings.CutPrefix(got, strings.TrimSuffix(want, "\n")); !ok || rest != ", by ctview 0.0.0\n" {
		t.Errorf("-V: %q, conntrack says %q", got, want)
	}
}

// TestUnprivileged compares what is said without CAP_NET_ADMIN.
func TestUnprivileged(t *testing.T) {
	w := newWorld(t)
	w.seed(deviationSeed)
	w.dropNetAdmin()
	for _, line := range []string{"-L", "-L -o xml", "-L expect", "-L dying", "-C", "-C expect", "-S", "-S expect", "-E", "-E -o xml", "-D -p tcp",
		"-U -f ipv4 -p tcp -m 9", "-G -s 10.0.0.1 -d 10.0.0.2 -p tcp --sport 1 --dport 80", "-F expect", "-h", "-L -z",
		"-I -s 10.1.0.1 -d 10.1.0.2 -p 50 -t 5", "-A -s 10.1.0.1 -d 10.1.0.2 -p 50 -t 5"} {
		if strings.HasPrefix(line, "-F") {
			r := w.ours("", split(line)...) // conntrack says first that it has emptied the table
			if r.Code != exitFailed || strings.Contains(r.Stderr, "emptied") {
				t.Errorf("%s: %+v", line, r)
			}
			continue
		}
		w.sameAs(line, maskStats)
	}
	r := w.ours("", "-F")
	if want := prefix + "Operation failed: sorry, you must be root or get CAP_NET_ADMIN capability to do this\n"; r.Stderr != want || r.Code != exitFailed {
		t.Errorf("-F: %+v, want %q", r, want)
	}
}

// dropNetAdmin takes CAP_NET_ADMIN from this thread and its children, for good.
func (w *world) dropNetAdmin() {
	w.t.Helper()
	w.guard()
	if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_NET_ADMIN, 0, 0, 0); err != nil {
		w.t.Fatal(err)
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		w.t.Fatal(err)
	}
	const bit = 1 << unix.CAP_NET_ADMIN
	data[0].Effective &^= bit
	data[0].Permitted &^= bit
	data[0].Inheritable &^= bit
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		w.t.Fatal(err)
	}
}

// A gate is a writer that stands still until it is opened.
type gate struct {
	open chan struct{}
	mu   sync.Mutex
	buf  bytes.Buffer
}

func (g *gate) Write(b []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.buf.Write(b)
}

func (g *gate) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.buf.String()
}

// TestLoss lets a follower stand still while events come: with a small buffer it tells of the loss as conntrack does
// and of the resyncs, with a big one, -b, nothing is lost.
func TestLoss(t *testing.T) {
	w := newWorld(t)
	const flows = 3000
	for _, c := range []struct {
		size string
		lost bool
	}{{"4096", true}, {"16777216", false}} {
		out, errs := &gate{open: make(chan struct{})}, &gate{open: make(chan struct{})}
		close(errs.open)
		ctx, cancel := context.WithCancel(t.Context())
		code := make(chan int, 1)
		before, _ := w.listeners()
		go func() {
			code <- Main([]string{"-E", "-e", "NEW", "-b", c.size}, Env{Stdout: out, Stderr: errs, Context: ctx, Netns: w.ns})
		}()
		w.until("a listener", func() bool { n, _ := w.listeners(); return n == before+1 })
		w.flood(flows)
		close(out.open)
		w.until("events to be read", func() bool { _, queued := w.listeners(); return !queued })
		if c.lost {
			w.until("a resync", func() bool { return strings.Contains(errs.String(), "ctview: resync 1: ") })
		}
		cancel()
		if n := <-code; n != exitOK {
			t.Errorf("-b %s: exit code %d", c.size, n)
		}
		text := errs.String()
		shown := strings.Count(out.String(), "\n")
		if !strings.Contains(text, fmt.Sprintf("%s%d flow events have been shown.\n", prefix, shown)) {
			t.Errorf("-b %s: %d lines, but stderr says %q", c.size, shown, text)
		}
		if c.lost != strings.Contains(text, lossWarning) || c.lost != strings.Contains(text, " lost in ") || c.lost == (shown == flows) {
			t.Errorf("-b %s: %d of %d events shown, stderr %q", c.size, shown, flows, text)
		}
		w.must("-F")
	}
}

// flood makes n flows at once.
func (w *world) flood(n int) {
	w.t.Helper()
	w.guard()
	k := ctnl.NewKernel(w.ns)
	defer k.Close()
	a, _ := parseAddress("10.0.0.1")
	b, _ := parseAddress("10.0.0.2")
	failed, err := k.CreateMany(w.t.Context(), n, func(i int, s *ctnl.Spec) {
		s.Flow.Key = model.Key{Src: a.addr, Dst: b.addr, Sport: uint16(i + 1), Dport: 53, Proto: model.ProtoUDP, Family: model.IPv4}
		s.Timeout, s.Has = 1000, model.HasTimeout
	})
	if err != nil || len(failed) > 0 {
		w.t.Fatalf("flood: %v, %d failed", err, len(failed))
	}
}
