package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"

	"github.com/spf13/cobra"
)

// TestFilterDocument holds docs/filter.md to what "help filter" and the manual say: all three are made of one text
// (go test ./cmd/ctview -run 'TestManual|TestFilterDocument' -update-manual).
func TestFilterDocument(t *testing.T) {
	holdDocument(t, "filter.md", filterDocument())
}

// holdDocument holds a page of docs to text that is made here; -update-manual writes it.
func holdDocument(t *testing.T, name, want string) {
	t.Helper()
	file := "../../docs/" + name
	if *updateManual {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("docs/%s is not what the program says (%v): -update-manual writes it", name, err)
	}
}

func filterDocument() string {
	const width = 120
	var b strings.Builder
	b.WriteString("<!-- Made of cmd/ctview/topic_filter.go by TestFilterDocument; do not edit. -->\n# The filter language\n\n")
	for _, p := range filterIntro {
		b.WriteString(wrapped(p, "", "", width) + "\n")
	}
	b.WriteString("## Examples\n\n| filter | what it finds |\n|---|---|\n")
	for _, e := range filterExamples {
		fmt.Fprintf(&b, "| `%s` | %s |\n", e.text, e.finds)
	}
	b.WriteString("\n## Rules\n\n")
	for _, p := range filterRules {
		b.WriteString(wrapped(p, "* ", "  ", width))
	}
	b.WriteString("\n## Words\n\n| words | value |\n|---|---|\n")
	for _, w := range filterWords {
		fmt.Fprintf(&b, "| %s | %s |\n", w[0], w[1])
	}
	b.WriteByte('\n')
	for _, p := range filterNotes {
		b.WriteString(wrapped(p, "* ", "  ", width))
	}
	return b.String()
}

// savedForExamples are the saved filters that examples name.
var savedForExamples = map[string]string{"noisy": "host 203.0.113.7 or port 53"}

// notHeld are filters of the texts that need not find a flow, with the reason.
var notHeld = map[string]string{
	"zone 443": "it says what a number alone might have meant",
}

// TestFilterExamples holds every filter in the texts about the language, of the help of commands and of the README, to a
// real table: flows of real traffic, some of them made by requests where no program here can. Each finds a flow, and
// none finds all.
func TestFilterExamples(t *testing.T) {
	l, ctx := newLab(t)
	exampleTraffic(t, ctx, l)
	tab, now := exampleTable(t, ctx, l)
	tab.SetOwners(exampleOwners(tab))
	tab.SetRoutes(exampleRoutes(t, l, tab))

	filters := documentedFilters(t)
	if len(filters) < 50 {
		t.Errorf("%d filters found in the texts: the way to look for them is broken", len(filters))
	}
	total := tab.Stats().Flows
	for text, place := range filters {
		f, err := filter.Parse(text, filter.Options{Saved: savedForExamples})
		if err != nil {
			t.Errorf("%s: %s: %v", place, text, err)
			continue
		}
		if names := f.Names(); slices.Contains(names, "lived") || slices.Contains(names, "ended") {
			continue // no flow of a table has ended; TestScreenRecent finds some
		}
		n := 0
		// A minute later is the same table for what hangs on the clock: no flow's timeout is so short that it is gone.
		for _, later := range []time.Duration{0, 3 * time.Second, 40 * time.Second, 2 * time.Hour} {
			found := 0
			tab.Each(func(fl *model.Flow, x *model.Extra) bool {
				if f.Match(fl, x, now+int64(later)) {
					found++
				}
				return true
			})
			if n = found; n > 0 && n < total {
				break
			}
		}
		if n == 0 || n == total {
			t.Errorf("%s: %s finds %d of %d flows", place, text, n, total)
		}
	}
}

// documentedFilters returns the filters that the texts show, with the place of one.
func documentedFilters(t *testing.T) map[string]string {
	t.Helper()
	filters, left := map[string]string{}, maps.Clone(notHeld)
	add := func(place, text string) {
		f, err := filter.Parse(text, filter.Options{Saved: savedForExamples})
		if delete(left, text); err == nil && f != nil && notHeld[text] == "" {
			filters[text] = place
		}
	}
	for _, e := range filterExamples {
		filters[e.text] = "filterExamples" // whether it is a filter or not
	}
	// In running text, what is marked as code or stands in quotes; single words are parts of filters.
	texts := map[string][]string{"filterIntro": filterIntro, "filterRules": filterRules, "filterNotes": filterNotes}
	for _, w := range filterWords {
		texts["filterWords"] = append(texts["filterWords"], w[1])
	}
	for _, c := range everyCommand() {
		texts[c.CommandPath()] = []string{c.Long, c.Example, c.Flags().FlagUsages()}
	}
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range strings.Split(string(text), "\n```") {
			if i%2 == 0 && filepath.Base(file) == "README.md" { // others explain filters where they are no examples
				texts[file] = append(texts[file], block)
			}
		}
		for _, line := range commandLines(string(text)) {
			add(file, lineFilter(line))
		}
	}
	code := regexp.MustCompile("`[^`]+`|\"[^\"]+\"")
	for place, parts := range texts {
		for _, part := range parts {
			for _, span := range code.FindAllString(part, -1) {
				text := span[1 : len(span)-1]
				if strings.ContainsAny(text, ` "`) {
					add(place, text)
					add(place, lineFilter(text))
				}
			}
		}
	}
	for text := range left {
		t.Errorf("notHeld: %s is in no text any more", text)
	}
	return filters
}

// documents are the texts for users.
func documents(t *testing.T) []string {
	t.Helper()
	files := must(filepath.Glob("../../docs/*.md"))(t)
	return append(files, "../../README.md")
}

// everyCommand returns the commands, the root first.
func everyCommand() []*cobra.Command {
	all := []*cobra.Command{newRoot(&globals{in: strings.NewReader(""), out: io.Discard, err: io.Discard}, "")}
	for i := 0; i < len(all); i++ {
		all = append(all, all[i].Commands()...)
	}
	return all
}

// commandLines returns the command lines of ctview in the sh blocks of a text, without comments.
func commandLines(text string) (lines []string) {
	for i, block := range strings.Split(text, "\n```") {
		body, ok := strings.CutPrefix(block, "sh\n")
		if i%2 == 0 || !ok {
			continue
		}
		for line := range strings.Lines(body) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), "  #")
			if line = strings.TrimPrefix(line, "sudo "); strings.HasPrefix(line, "ctview") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
	}
	return lines
}

// lineFilter returns the filter in a command line of ctview, "" for none.
func lineFilter(line string) string {
	words := shellWords(line)
	if len(words) == 0 || words[0] != "ctview" {
		return ""
	}
	root := everyCommand()[0]
	cmd, rest, err := root.Find(words[1:])
	if err != nil || !strings.Contains(cmd.Use, "FILTER") || cmd.ParseFlags(rest) != nil {
		return ""
	}
	return filterText(cmd.Flags().Args())
}

// shellWords splits a line as a shell does, as far as the texts need it.
func shellWords(line string) (words []string) {
	for _, w := range regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`).FindAllString(line, -1) {
		words = append(words, strings.NewReplacer("'", "", `"`, "").Replace(w))
	}
	return words
}

// exampleTraffic makes what the examples look for.
func exampleTraffic(t *testing.T, ctx context.Context, l *lab.Lab) {
	t.Helper()
	everyProtocol(t, ctx, l)
	must(must(l.FTP(ctx, lab.From{Zone: 5}))(t).Get(ctx, false, 1000, 0))(t)
	must(l.DNAT(ctx, lab.From{Zone: 5}))(t)
	must(l.OneWay(ctx, lab.From{}))(t)
	must(l.TCP(ctx, lab.From{}, 22))(t)
	must(l.State(ctx, lab.From{}, model.TCPSynRecv))(t)
	if err := must(l.TCP(ctx, lab.From{}, 25))(t).Reset(ctx); err != nil {
		t.Fatal(err)
	}
	for _, udp := range []struct {
		from, to string
		n        int
	}{{"[2001:db8:1::10]:41000", "[2001:db8:2:dead::9]:514", 10_500}, {"192.168.1.10:41001", "203.0.113.201:5060", 1}} { // nobody is there
		c := must(l.Client().Dial(ctx, "udp", udp.from, udp.to))(t)
		defer c.Close()
		for range udp.n {
			must(c.Write(make([]byte, 1000)))(t)
		}
	}
	for _, flow := range []string{
		"-p gre -s 10.5.0.10 -d 203.0.113.7 --srckey 0x10 --dstkey 0x11",
		"-p icmp -s 10.5.0.10 -d 203.0.113.7 --icmp-type 8 --icmp-code 0 --icmp-id 4711",
	} {
		args := append([]string{"--netns", l.Router().Path(), "conntrack", "-I", "-t", "600"}, strings.Fields(flow)...)
		if out, err := ctview(t, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", flow, err, out)
		}
	}
}

// exampleOwners have one end of two flows held by processes; to the router of the lab all flows are forwarded. The address
// that requests made flows of is this machine's, and has no sockets.
func exampleOwners(tab *table.Table) *model.Owners {
	var sockets []model.BoundSocket
	tab.Each(func(f *model.Flow, _ *model.Extra) bool {
		end, proc := f.Reply(), "sshd"
		switch f.Dport {
		case 22:
		case 5060:
			end, proc = f.Orig(), "curl"
		default:
			return true
		}
		sockets = append(sockets, model.BoundSocket{Proto: f.Proto, Local: netip.AddrPortFrom(end.SrcAddr(), end.Sport),
			Remote: netip.AddrPortFrom(end.DstAddr(), end.Dport), Holder: &model.Holder{PID: 7, Proc: proc, User: "root"}})
		return true
	})
	return model.NewOwners([]netip.Addr{netip.MustParseAddr("10.5.0.10")}, nil, sockets)
}

// exampleTable reads the router twice while a download goes on, so that there are rates.
func exampleTable(t *testing.T, ctx context.Context, l *lab.Lab) (tab *table.Table, now int64) {
	t.Helper()
	down := must(l.TCP(ctx, lab.From{}, 443))(t)
	done := make(chan error, 1)
	go func() { done <- down.Download(20_000_000, 8_000_000) }()
	ns := must(ctnl.OpenNetns(l.Router().Path()))(t)
	defer ns.Close()
	g := &globals{over: 500 * time.Millisecond}
	src := func(ctx context.Context, k model.KernelFilter, fn func([]model.Event) error) error {
		return ctnl.DumpTo(ctx, ns, k, fn)
	}
	// The first reading comes when there is something to compare with, the second while more comes.
	for deadline := time.Now().Add(patience); ; {
		tab = must(g.readTable(ctx, src, model.KernelFilter{}))(t)
		if row, ok := tab.Get(down.Key); ok && row.Flow.Bytes[1] > 10_000_000 && row.Flow.Rate[1] > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the download does not get on")
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return tab, time.Now().UnixNano()
}

// exampleRoutes are the routes that the router has.
func exampleRoutes(t *testing.T, l *lab.Lab, tab *table.Table) *model.Routes {
	t.Helper()
	ns := must(ctnl.OpenNetns(l.Router().Path()))(t)
	t.Cleanup(func() { ns.Close() })
	f := must(newRouteFinder(ns))(t)
	defer f.close()
	var keys []model.RouteKey
	tab.Each(func(fl *model.Flow, _ *model.Extra) bool {
		keys = f.missing(keys, fl)
		return true
	})
	if err := f.look(keys); err != nil {
		t.Fatal(err)
	}
	return f.routes
}
