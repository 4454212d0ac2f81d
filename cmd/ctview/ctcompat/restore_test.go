package ctcompat

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func itoa(n int) string { return strconv.Itoa(n) }

// restoreFiles are the contents of -R files, right ones and wrong ones.
var restoreFiles = []string{
	"",
	"\n\n  \n\t\n# comment\n  # another\n",
	"-I -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 2 -t 100\n",
	"-I -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 2 -t 100",
	"  -A -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 2 -t 100 # not a comment\n-A -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 2 -t 100\n",
	"-I -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 2 -t 100\n-I -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 2 -t 100\n-F\n",
	"-I \"-s\" \"1.1.1.1\" -d 2.2.2.2 -p \"udp\" --sport 1 --dport 2 -t 100\n",
	"-I -s\"1.1.1.1\" -d 2.2.2.2 -p u\"dp\" --sport 1 --dport 2 -t 100\n",
	"-I -s 1.1.1.1 -d 2.2.2.2 -p \"u\\dp\" --sport 1 --dport 2 -t 100\n",
	"-I -s 1.1.1.1 -d 2.2.2.2 -p \"udp\n",
	"-I -s 1.1.1.1 -d 2.2.2.2 -p u\\dp --sport 1 --dport 2 -t 100\n",
	"-I -s 1.1.1.1 -d 2.2.2.2 -p \"\"\n",
	"-D -s 9.9.9.9\n-D -p udp\n",
	"-U -s 10.0.0.1 -p tcp --sport 1 -t 9\n-D -p tcp\n-F\n",
	"-U -s 9.9.9.9 -m 9\n",
	"-F\n-F conntrack\n",
	"-L\n", "-G -s 1.1.1.1 -d 2.2.2.2 -p 50\n", "-E\n", "-V\n", "-h\n", "-L expect\n", "-F expect\n", "-D expect -s 1.1.1.1 -d 2.2.2.2 -p 50\n",
	"-G expect -s 1.1.1.1 -d 2.2.2.2 -p 50\n", "-E expect\n", "-C\n", "-C expect\n", "-S\n", "-S expect\n", "-L dying\n",
	"junk\n", "-s 1.1.1.1\n", "-I\n", "-F\n-I\n", "-F\n-L\n", "-x\n", "-D -s foo\n", "-R x\n",
	"-F " + strings.Repeat("x ", 252) + "\n",
	"-F " + strings.Repeat("x ", 253) + "\n",
	"-F " + strings.Repeat("x", 1023) + "\n",
	"-F " + strings.Repeat("x", 1024) + "\n",
	"# " + strings.Repeat("x", 10300) + "\n-F\n",
	"-F \"" + strings.Repeat("a b ", 200) + "\"\n",
	"conntrack -F\n",
	manyLines(600, -1, ""),
	manyLines(600, 0, "-I -s 1.1.1.1 -d 2.2.2.2 -p 47 -t 100"),
	manyLines(600, 300, "-I -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1007 --dport 2 -t 100"), // it exists
	manyLines(600, 300, "-A -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1007 --dport 2 -t 100"), // which is no failure of -A
	manyLines(1100, 550, "-I -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1007 --dport 2 -t 100"),
	manyLines(600, 300, "-D -s 1.1.1.1 -p udp --sport 1009"),
	manyLines(600, 599, "-I -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1007 --dport 2 -t 100"),
	manyLines(3000, 2000, "-F -x"),
}

// manyLines makes n flows, with another line in place of one.
func manyLines(n, at int, line string) string {
	var b strings.Builder
	for i := range n {
		if i == at {
			b.WriteString(line + "\n")
			continue
		}
		b.WriteString("-I -s 1.1.1.1 -d 2.2.2.2 -p udp --sport " + itoa(1000+i) + " --dport 2 -t 100\n")
	}
	return b.String()
}

// TestRestoreEndsAtTheLine asks for an end at the first wrong line, though more may come.
func TestRestoreEndsAtTheLine(t *testing.T) {
	in, more := io.Pipe()
	defer more.Close()
	go more.Write([]byte("# a comment\n-x\n"))
	var out, errs bytes.Buffer
	if code := Main([]string{"-R", "-"}, Env{Stdin: in, Stdout: &out, Stderr: &errs}); code != exitUsage {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}

// TestRestore compares -R of files, from a file and from standard input.
func TestRestore(t *testing.T) {
	w := newWorld(t)
	for i, text := range restoreFiles {
		run := func(how func(string, ...string) result) []result {
			w.seed(changeSeed)
			did := sorted(maskMoving(how(text, "-R", "-")))
			return []result{did, sorted(maskMoving(w.real("", "-L", "-o", "extended")))}
		}
		want := run(w.real)
		for range attempts {
			if !protocolError(want[0]) {
				break
			}
			want = run(w.real)
		}
		if diff := cmp.Diff(want, run(w.ours)); diff != "" {
			t.Errorf("file %d %.60q: (-conntrack +ctview)\n%.3000s", i, text, diff)
			continue
		}
		compared.Add(1)
	}
	path := t.TempDir() + "/file"
	w.write(path, "-F\n-I -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 2 -t 100\n")
	w.sameChange(changeSeed, "-R "+path)
	w.sameChange(changeSeed, "--load-file "+path)
	w.sameChange(changeSeed, "--load-file="+path)
	w.sameChange(changeSeed, "-R"+path)
	w.sameChange(changeSeed, "-R "+path+" more -L")
}

// TestRoundTrip saves a table that has everything, flushes it, restores it and expects the same; and checks that each
// program reads the other's files.
func TestRoundTrip(t *testing.T) {
	w := newWorld(t)
	w.allowLabels()
	w.seed(seedLines())
	for _, line := range []string{
		"-I -s 10.9.0.1 -d 10.9.0.2 -p tcp --sport 40000 --dport 21 -t 1000 --state ESTABLISHED -u ASSURED,SEEN_REPLY --helper ftp -m 9",
		"-I -s fd09::1 -d fd09::2 -p tcp --sport 40000 --dport 21 -t 1000 --state ESTABLISHED -u ASSURED --helper ftp",
		"-I -s 10.9.0.1 -d 10.9.0.2 -p udp --sport 1 --dport 1 -t 1000 --label-add customer,eth0-in,two~words,far -m 8",
		"-I -s 10.9.0.1 -d 10.9.0.2 -p udp --sport 2 --dport 1 -t 1000 --label-add 77",
		"-I -s 10.9.0.1 -d 10.9.0.2 -p sctp --sport 2 --dport 1 -t 1000 --state HEARTBEAT_SENT --orig-vtag 5 --reply-vtag 6",
	} {
		w.mustOurs(split(line)...)
	}
	before := w.all()
	save := w.mustOurs("-L", "-o", "save").Stdout
	w.mustOurs("-F")
	if r := w.ours(save, "-R", "-"); r.Code != 0 {
		t.Fatalf("restore: %s", r.Stderr)
	}
	if diff := cmp.Diff(before, w.all()); diff != "" {
		t.Errorf("after save, flush and restore: (-before +after)\n%s", diff)
	}

	// conntrack's own files: what they hold comes back.
	var theirs string
	for line := range strings.Lines(w.real("", "-L", "-o", "save").Stdout) {
		if !strings.Contains(line, "dccp") && !strings.Contains(line, "--reply-port-src 99") { // conntrack cannot read these back
			theirs += strings.ReplaceAll(line, "--state (null)", "--state NONE")
		}
	}
	w.mustOurs("-F")
	if r := w.ours(theirs, "-R", "-"); r.Code != 0 {
		t.Fatalf("restore conntrack's file: %s", r.Stderr)
	}
	ours := w.all()
	w.must("-F")
	if r := w.real(theirs, "-R", "-"); r.Code != 0 {
		t.Fatalf("conntrack -R of its own file: %s", r.Stderr)
	}
	if diff := cmp.Diff(w.all(), ours); diff != "" {
		t.Errorf("conntrack's file: (-restored by conntrack +by ctview)\n%s", diff)
	}
	compared.Add(1)
}

// all returns the table as sorted lines with everything in them but what time moves.
func (w *world) all() []string {
	w.t.Helper()
	r := maskMoving(w.mustOurs("-L", "-o", "extended,labels"))
	s := maskMoving(w.mustOurs("-L", "-o", "save")) // states, verification tags
	lines := strings.Split(r.Stdout+s.Stdout, "\n")
	slices.Sort(lines)
	return lines
}

// TestRoundTripTraffic saves a router's table after real traffic of every protocol, with both kinds of NAT, expected
// flows and zones, flushes it and restores it.
func TestRoundTripTraffic(t *testing.T) {
	w, l := labWorld(t)
	w.allowLabels()
	defer expectations(t, l)()
	traffic(t, l)
	w.mustOurs("-U", "-p", "tcp", "--label-add", "customer,far")
	mask := func(lines []string) (out []string) {
		for _, s := range lines {
			s = counters.ReplaceAllString(s, "")
			s = anyTimeout.ReplaceAllString(s, "$1") // a late packet of a session that is still open changes it
			s = strings.NewReplacer("EXPECTED,", "", "-u EXPECTED ", "-u UNSET ").Replace(s)
			if s != "" {
				out = append(out, s)
			}
		}
		slices.Sort(out)
		return out
	}
	save := w.mustOurs("-L", "-o", "save").Stdout
	before := mask(w.all())
	w.mustOurs("-F")
	if r := w.ours(save, "-R", "-"); r.Code != 0 {
		t.Fatalf("restore: %s\n%s", r.Stderr, save)
	}
	if diff := cmp.Diff(before, mask(w.all())); diff != "" {
		t.Errorf("after save, flush and restore: (-before +after)\n%s", diff)
	}
	if len(before) < 40 {
		t.Errorf("only %d lines were compared", len(before))
	}
}

var (
	counters   = regexp.MustCompile(`packets=\d+ bytes=\d+ `)
	anyTimeout = regexp.MustCompile(`^(ipv\d +\d+ \w+ +\d+ |-A -t )\d+ `)
)
