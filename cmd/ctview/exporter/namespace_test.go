package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ctview/ctnl/lab"
)

// TestNamespaceComesAndGoes: a namespace that is gone is told as down and not as it was last; when its name leads to one
// again, that is watched. The others do not notice.
func TestNamespaceComesAndGoes(t *testing.T) {
	t.Parallel()
	web, one, two := newNS(t), newNS(t), newNS(t)
	fillNS(t, one, 10)
	fillNS(t, two, 20)
	name := filepath.Join(t.TempDir(), "blue")
	link := func(ns *lab.NS) {
		if err := errors.Join(os.Symlink(path(ns), name+".new"), os.Rename(name+".new", name)); err != nil {
			t.Fatal(err)
		}
	}
	link(one)
	r := begin(t, web, "--netns", name, "--netns", path(two))
	blue, other := "{"+netns(name)+"}", "{"+netns(path(two))+"}"
	is := func(up, entries float64, has bool) func() bool {
		return func() bool {
			m := r.must(t)
			n, ok := m["ctview_entries"+blue]
			if m["ctview_up"+other] != 1 || m["ctview_entries"+other] != 20 {
				t.Fatalf("the other namespace: up %v, entries %v", m["ctview_up"+other], m["ctview_entries"+other])
			}
			return m["ctview_up"+blue] == up && n == entries && ok == has
		}
	}
	until(t, "10 flows", is(1, 10, true))
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	until(t, "down, and no flows told", is(0, 0, false))
	link(two)
	until(t, "the 20 flows of the other", is(1, 20, true))
}

// TestCountersNeverStepBack: while a namespace goes and another one comes by its name, no counter of either steps back in any scrape,
// over all lives they are what happened, and every end in each life has a record in the domain of its namespace.
func TestCountersNeverStepBack(t *testing.T) {
	t.Parallel()
	web, one, two, three := newNS(t), newNS(t), newNS(t), newNS(t)
	name := filepath.Join(t.TempDir(), "blue")
	link := func(ns *lab.NS) {
		if err := errors.Join(os.Symlink(path(ns), name+".new"), os.Rename(name+".new", name)); err != nil {
			t.Fatal(err)
		}
	}
	link(one)
	c := collectUDP(t, web)
	r := begin(t, web, "--listen", defaultListen, "--netns", name, "--netns", path(two), "--ipfix", collectorAddr)
	highest := map[string]float64{}
	look := func() map[string]float64 {
		m := r.must(t)
		for series, v := range m {
			if strings.HasPrefix(series, "ctview_") && strings.Contains(series, "_total{") {
				if v < highest[series] {
					t.Fatalf("%s steps back from %v to %v", series, highest[series], v)
				}
				highest[series] = v
			}
		}
		return m
	}
	blue, other := netns(name), netns(path(two))
	ends := func(ns *lab.NS, from, to int) {
		f := fillNS(t, ns, 0)
		if err := errors.Join(f.Create(t.Context(), from, to), f.Destroy(t.Context(), from, to)); err != nil {
			t.Fatal(err)
		}
	}
	ended := func(blueWant, otherWant float64) func() bool {
		return func() bool {
			m := look()
			return m[`ctview_events_total{kind="destroy",`+blue+`}`] == blueWant && m[`ctview_events_total{kind="destroy",`+other+`}`] == otherWant
		}
	}
	up := func(want float64) func() bool { return func() bool { return look()["ctview_up{"+blue+"}"] == want } }
	ends(one, 0, 700)
	ends(two, 0, 300)
	until(t, "700 and 300 ended", ended(700, 300))
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	until(t, "blue is gone", up(0))
	ends(two, 300, 400)
	until(t, "what was counted of blue is told all the same", ended(700, 400))
	link(three)
	until(t, "blue is there again", up(1))
	ends(three, 0, 50)
	ends(two, 400, 500)
	until(t, "700 + 50 and 500 ended", ended(750, 500))
	until(t, "a record of each is there", func() bool {
		look()
		return c.count(t, 1) == 750 && c.count(t, 2) == 500
	})
	if m := look(); m["ctview_ipfix_records_lost_total{"+blue+`,reason="queue_full"}`] != 0 {
		t.Error("records were lost")
	}
	if len(highest) < 40 {
		t.Errorf("%d counters: too few to show anything", len(highest))
	}
}

// TestWrongUse: what cannot be meant is told with the place and the cure, and nothing begins.
func TestWrongUse(t *testing.T) {
	t.Parallel()
	ns := newNS(t)
	l, err := ns.Listen("tcp", "127.0.0.1:7777")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	bad := write(t, dir, "bad.yml", "tls_server_confg: {}\n")
	for _, tt := range []struct {
		args string
		code int
		text string
	}{
		{"--netns=", 2, "--netns: the value is empty"},
		{"--listen=", 2, "--listen: the value is empty"},
		{"--web-config=", 2, "--web-config: the value is empty"},
		{"--netns a --netns a", 2, `--netns: "a" is named twice`},
		{"--netns nosuch", 2, "no such network namespace: nosuch"},
		{"--listen 10967", 2, `--listen: "10967" is no ADDRESS:PORT`},
		{"--listen 127.0.0.1:", 2, "is no ADDRESS:PORT"},
		{"--listen 127.0.0.1:7777", 1, "address already in use"},
		{"--listen 192.0.2.99:7777", 1, "cannot assign requested address"},
		{"--listen 127.0.0.1:99999", 2, "is no ADDRESS:PORT"},
		{"--labels 0", 2, "--labels: 0 is out of range"},
		{"--labels 1001", 2, "1 to 1000"},
		{"--labels x", 2, "--labels"},
		{"--ipfix 4739", 2, `--ipfix: "4739" is no HOST:PORT`},
		{"--ipfix :4739", 2, "is no HOST:PORT"},
		{"--ipfix 127.0.0.1:4739 --ipfix-proto sctp", 2, `--ipfix-proto: "sctp" is neither udp nor tcp`},
		{"--ipfix 127.0.0.1:4739 --ipfix-pen 0", 2, "--ipfix-pen: 0 is nobody's number"},
		{"--active 60s", 2, "--active: there is no collector"},
		{"--active=", 2, "is not a time such as 30s"},
		{"--ipfix 127.0.0.1:4739 --active 500ms", 2, "is less than 1s"},
		{"--nosuch", 2, "unknown flag"},
		{"metrics", 2, `unexpected "metrics"`},
		{"--web-config " + bad, 2, "field tls_server_confg not found"},
		{"--web-config " + dir + "/nosuch", 2, "no such file"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			cmd := exporterCommand(t, ns, strings.Fields(tt.args)...)
			var text bytes.Buffer
			cmd.Stderr = &text
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != tt.code || !strings.Contains(text.String(), tt.text) || !strings.Contains(text.String(), "\nhint: ") {
				t.Errorf("%v, want exit code %d, %q and a hint; stderr:\n%s", err, tt.code, tt.text, &text)
			}
		})
	}
}
