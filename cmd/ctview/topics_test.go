package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ctview/ctnl/lab"
	"ctview/model"
)

// TestColumnsHaveMeanings: help columns says of each column what it shows, under each other.
func TestColumnsHaveMeanings(t *testing.T) {
	lines := strings.Split(columnsTopic(), "\n")
	for i, c := range model.Columns() {
		if columnMeanings[c] == "" {
			t.Errorf("%v has no meaning", c)
		}
		if l := lines[i+2]; !strings.HasPrefix(l, "  "+c.String()+" ") || strings.Index(l, columnMeanings[c]) != 17 {
			t.Errorf("%v: %q", c, l)
		}
	}
}

// A gap is why a column may have no value.
type gap string

const (
	never   gap = ""
	none    gap = "the flow has none"
	noPorts gap = "the protocol has none"
	acct    gap = "began while `nf_conntrack_acct` was 0"
	twice   gap = "read once, or as `bytes`"
	stamp   gap = "began while `nf_conntrack_timestamp` was 0. Seen for a while, tables have `>1m` and `<TIME`: at least so long, before that"
	way     gap = "begins or ends here, or the routes do not tell"
	socket  gap = "no socket found: `-`, or `forwarded`"
)

// columnFacts are what docs/columns.md says of a column besides its meaning.
var columnFacts = map[model.Column]struct {
	unit string
	gap  gap
}{
	model.ColProto: {"name, or number", never}, model.ColState: {"name", never}, model.ColSrc: {"address:port", never}, model.ColDst: {"address:port", never},
	model.ColSport: {"number", noPorts}, model.ColDport: {"number", noPorts}, model.ColNAT: {"letters", none}, model.ColZone: {"number", never},
	model.ColHelper: {"name", none}, model.ColFlags: {"letters", none}, model.ColTimeout: {"time; CSV: seconds", never},
	model.ColRate: {"bytes/s", twice}, model.ColBytes: {"bytes", acct}, model.ColPackets: {"packets", acct}, model.ColPPS: {"packets/s", twice},
	model.ColAge: {"time; CSV: seconds", stamp}, model.ColMark: {"number", never}, model.ColID: {"number", never}, model.ColFamily: {"name", never},
	model.ColCtState: {"name", never}, model.ColPhase: {"name", never}, model.ColStatus: {"names", never},
	model.ColReplySrc: {"address:port", never}, model.ColReplyDst: {"address:port", never}, model.ColReplySport: {"number", noPorts},
	model.ColReplyDport: {"number", noPorts}, model.ColOrigBytes: {"bytes", acct}, model.ColReplyBytes: {"bytes", acct},
	model.ColOrigPackets: {"packets", acct}, model.ColReplyPackets: {"packets", acct}, model.ColOrigRate: {"bytes/s", twice},
	model.ColReplyRate: {"bytes/s", twice}, model.ColAvgPkt: {"bytes", acct}, model.ColLabels: {"names, or bits", none}, model.ColSecctx: {"text", none},
	model.ColMaster: {"flow", none}, model.ColStart: {"time", stamp}, model.ColPID: {"number", socket}, model.ColProc: {"name", socket},
	model.ColUser: {"name", socket}, model.ColCgroup: {"path", socket}, model.ColIif: {"name", way}, model.ColOif: {"name", way},
}

// TestColumnsDocument holds docs/columns.md to what "help columns" says (-update-manual writes it).
func TestColumnsDocument(t *testing.T) {
	for _, c := range model.Columns() {
		if columnFacts[c].unit == "" {
			t.Errorf("%v has no unit", c)
		}
	}
	holdDocument(t, "columns.md", columnsDocument())
}

func columnsDocument() string {
	const width = 120
	var b strings.Builder
	b.WriteString("<!-- Made of cmd/ctview/topics.go and topics_test.go by TestColumnsDocument; do not edit. -->\n# The columns\n\n")
	for _, p := range []string{
		"The columns of the screen (`c`), of `--columns` and `--sort`, and of `columns` and `sort` in the [configuration](configuration.md). " +
			"`ctview help columns` lists them. The original direction is that of the first packet; addresses and ports are its own unless the name says reply.",
		"Tables and the screen write large numbers with k, M, G, T, powers of 1000 (`21.4M`), and times as `4d23h`; CSV and JSON have " +
			"every digit, and start in UTC. **What is not known is `-`**, nothing at all in CSV, no field in JSON; 0 is a 0 that the kernel told.",
	} {
		b.WriteString(wrapped(p, "", "", width) + "\n")
	}
	b.WriteString("| column | what it shows | unit | not known, or none, where |\n|---|---|---|---|\n")
	for _, c := range model.Columns() {
		f := columnFacts[c]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c, columnMeanings[c], f.unit, f.gap)
	}
	b.WriteString("\n## What is shown where\n\n| output | columns |\n|---|---|\n")
	for _, o := range columnsOf {
		fmt.Fprintf(&b, "| `%s` |", o.name)
		for _, c := range o.columns() {
			fmt.Fprintf(&b, " `%s`", c)
		}
		b.WriteString(" |\n")
	}
	b.WriteString("\n" + wrapped("Events know less: of a flow that is new or changes the kernel tells no bytes and packets, of one that ends no helper. "+
		"`pid`, `proc`, `user`, `cgroup`, `iif`, `oif` are not known of them.", "", "", width))
	return b.String()
}

// TestColumnGaps holds the kernel to what docs/columns.md says of it: a flow from before accounting and timestamps has none of
// what hangs on them, one that begins afterwards has.
func TestColumnGaps(t *testing.T) {
	t.Parallel()
	ns := must(lab.NewNS())(t)
	t.Cleanup(func() { ns.Close() })
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := ctview(t, append(args, "--netns", ns.Path())...).Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return string(out)
	}
	known := map[string]func(gap) bool{ // of the flow from 10.0.0.1, which has nothing, and of that from 10.0.0.2
		"10.0.0.1": func(g gap) bool { return g == never || g == noPorts || g == socket },
		"10.0.0.2": func(g gap) bool { return g != none && g != way },
	}
	for i, v := range []string{"0", "1"} {
		for _, name := range []string{"acct", "timestamp"} {
			if err := ns.Sysctl("net/netfilter/nf_conntrack_"+name, v); err != nil {
				t.Fatal(err)
			}
		}
		run("add", "udp", fmt.Sprintf("10.0.0.%d:7", i+1), "10.0.0.9:9", "--timeout", "600")
	}
	var names []string
	for _, c := range model.Columns() {
		names = append(names, c.String())
	}
	rows := must(csv.NewReader(strings.NewReader(run("list", "-o", "csv", "--over", minOver.String(), "--columns", strings.Join(names, ",")))).ReadAll())(t)
	if len(rows) != 3 {
		t.Fatalf("%d rows, want a head and two flows", len(rows))
	}
	for _, row := range rows[1:] {
		src := row[slices.Index(names, "src")]
		for i, c := range model.Columns() {
			want := known[src](columnFacts[c].gap)
			if c == model.ColAvgPkt || c == model.ColFlags { // no packets yet; U, for no answer
				want = c == model.ColFlags
			}
			if got := row[i] != ""; got != want {
				t.Errorf("%v of the flow from %s: %q", c, src, row[i])
			}
		}
	}
	for over, want := range map[string]string{"0": `^- - -$`, minOver.String(): `^>\S+ <\S+ \S+ -$`} { // who reads twice has seen it before
		got := strings.Join(strings.Fields(run("list", "--columns", "age,start,bytes", "--no-header", "--over", over, "src", "10.0.0.1")), " ")
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("--over %s: the flow without anything is %q, want %s", over, got, want)
		}
	}
}

// TestEventGaps holds the kernel to what docs/columns.md says of events.
func TestEventGaps(t *testing.T) {
	t.Parallel()
	ns, _ := trackedNS(t)
	cmd := ctview(t, "events", "--netns", ns.Path(), "--max", "3", "-o", "csv", "--no-header", "--columns", "helper,bytes")
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening(t, cmd, ns)
	for _, args := range [][]string{{"add", "tcp", "10.0.0.1:7", "10.0.0.2:21", "--timeout", "600", "--state", "ESTABLISHED", "--helper", "ftp"},
		{"update", "-y", "tcp", "10.0.0.1:7", "10.0.0.2:21", "--mark", "3"}, {"delete", "-y", "tcp", "10.0.0.1:7", "10.0.0.2:21"}} {
		if text, err := ctview(t, append(args, "--netns", ns.Path())...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, text)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	const want = "new,ftp,\nupdate,ftp,\ndestroy,,0\n"
	if got := regexp.MustCompile(`(?m)^[^,]*,`).ReplaceAllString(out.String(), ""); got != want {
		t.Errorf("events %q, want %q", got, want)
	}
}

// TestTopIsTheScreen: what other programs call their screen is answered with ours.
func TestTopIsTheScreen(t *testing.T) {
	cmd := ctview(t, "top")
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(string(out), "live screen") {
		t.Errorf("exit code %d: %s", code, out)
	}
}
