package main

import (
	"encoding/csv"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ctview/model"
	"ctview/model/format"
)

// TestTimesEverywhere: --time has one form of times wherever some are printed; heads stand over their columns. The form that
// programs count on stays, and what would change it is refused.
func TestTimesEverywhere(t *testing.T) {
	ns := trackingNS(t)
	for name, v := range map[string]string{"timestamp": "1", "udp_timeout": "600"} { // the flow outlives a slow machine
		if err := ns.Sysctl("net/netfilter/nf_conntrack_"+name, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := ns.Do(func() error { return sendUDP("127.0.0.1:1001") }); err != nil {
		t.Fatal(err)
	}
	if out, err := ctview(t, "notrack", "add", "--yes", "--verify", "0", "udp 10.0.0.1:4000 10.0.0.2:5000", "--netns", ns.Path()).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	zone := "TZ=" + nineEast(t)
	const date = `\d{4}-\d\d-\d\d`
	hour := time.Now().UTC().Format("15")
	tokyo := time.Now().UTC().Add(9 * time.Hour).Format("15")
	if time.Now().UTC().Minute() == 59 { // the test may run into the next hour
		hour, tokyo = `\d\d`, `\d\d`
	}
	for form, want := range map[string][4]string{ // start of a flow, in CSV, of an event, of a NOTRACK rule
		"":         {date + " " + tokyo + `:\d\d:\d\d`, date + "T" + hour + `:\d\d:\d\d\.\d{9}Z`, tokyo + `:\d\d:\d\d\.\d{3}`, `\d\d-\d\d ` + tokyo + `:\d\d:\d\d`},
		"local":    {date + " " + tokyo + `:\d\d:\d\d`, date + " " + tokyo + `:\d\d:\d\d\.\d{9}`, tokyo + `:\d\d:\d\d\.\d{3}`, `\d\d-\d\d ` + tokyo + `:\d\d:\d\d`},
		"utc":      {date + " " + hour + `:\d\d:\d\dZ`, date + " " + hour + `:\d\d:\d\d\.\d{9}Z`, hour + `:\d\d:\d\d\.\d{3}Z`, `\d\d-\d\d ` + hour + `:\d\d:\d\dZ`},
		"rfc3339":  {date + "T" + hour + `:\d\d:\d\d\.\d{9}Z`, date + "T" + hour + `:\d\d:\d\d\.\d{9}Z`, date + "T" + hour + `:\d\d:\d\d\.\d{9}Z`, date + "T" + hour + `:\d\d:\d\d\.\d{9}Z`},
		"unix":     {`\d{10}\.\d{6}`, `\d{10}\.\d{6}`, `\d{10}\.\d{6}`, `\d{10}\.\d{6}`},
		"relative": {`-[0-9.ms]+s`, `-[0-9.ms]+s`, `\+[0-9.]+s`, `-[0-9.ms]+s`},
	} {
		say := func(args ...string) string {
			t.Helper()
			if form != "" {
				args = append(args, "--time", form)
			}
			cmd := ctview(t, append(args, "--netns", ns.Path())...)
			cmd.Env = append(cmd.Env, zone)
			return string(must(cmd.Output())(t))
		}
		check := func(what, got, want string) {
			t.Helper()
			if !regexp.MustCompile("^" + want + "$").MatchString(got) {
				t.Errorf("--time %s: %s is %q, want %s", form, what, got, want)
			}
		}
		check("start", strings.TrimSpace(say("list", "udp", "--no-header", "--columns", "start")), want[0])
		check("start in CSV", strings.TrimSpace(say("list", "udp", "--no-header", "--columns", "start", "-o", "csv")), want[1])
		lines := strings.Split(say("events", "--dump", "--max", "1", "--columns", "dst"), "\n")
		stamp, _, _ := strings.Cut(lines[1], " ")
		check("time of an event", stamp, want[2])
		if strings.Index(lines[0], "EVENT") != strings.Index(lines[1], "dump") {
			t.Errorf("--time %s: the head stands elsewhere:\n%s", form, strings.Join(lines, "\n"))
		}
		row := must(csv.NewReader(strings.NewReader(say("events", "--dump", "--max", "1", "-o", "csv", "--no-header", "--columns", "dst"))).Read())(t)
		if form == "relative" {
			want[1] = want[2]
		}
		check("time of an event in CSV", row[0], want[1])
		check("time of a rule", regexp.MustCompile(`(?m)root (.*?) +udp`).FindStringSubmatch(say("notrack", "list"))[1], want[3])
	}
	sample := model.Sample{At: 1_772_366_401_500_000_000, State: model.CtInvalid, Tuple: model.Tuple{Family: model.IPv4,
		Src: netip.MustParseAddr("::ffff:10.0.0.1").As16(), Dst: netip.MustParseAddr("::ffff:10.0.0.2").As16()}}
	packet := model.TracePacket{At: sample.At, Tuple: sample.Tuple}
	g := &globals{times: format.TimeUnix}
	for _, line := range []string{string(g.appendSample(nil, &sample, "")), string(g.appendTraced(nil, &packet))} {
		if !strings.HasPrefix(line, "1772366401.500000 ") {
			t.Errorf("--time unix: %s", line)
		}
	}
	for _, args := range []string{"list -j --time unix", "events -j --time relative", "stats -j --time local", "notrack list -j --time unix", "list -o xml --time unix", "list -o save --time local"} {
		if code, _, diag := runIn(t, ctview(t, append(strings.Fields(args), "--netns", ns.Path())...)); code != 2 || !strings.Contains(diag, "whatever is asked for") {
			t.Errorf("%s: %d %s", args, code, diag)
		}
	}
	checkSchema(t, "flow", must(ctview(t, "list", "udp", "-j", "--time", "utc", "--netns", ns.Path()).Output())(t))
	if code, _, diag := runIn(t, ctview(t, "list", "--time", "unx", "--netns", ns.Path())); code != 2 || !strings.Contains(diag, "did you mean unix?") {
		t.Errorf("--time unx: %d %s", code, diag)
	}
	screenTimes(t, ns.Path(), zone)
}

// screenTimes holds the clock of the screen, and the start of a flow there, to --time.
func screenTimes(t *testing.T, ns, zone string) {
	t.Helper()
	tm := newTerminal(t, ctview(t, "--time", "utc", "--netns", ns), 120, 20, zone)
	tm.shows("127.0.0.1:1001")
	at := func() string { return time.Now().UTC().Format("15:04") }
	tm.until("the time in UTC", func(s string) bool { return strings.Contains(strings.Split(s, "\n")[0], at()) })
	tm.send("\r")
	tm.until("the start in UTC", func(s string) bool {
		return strings.Contains(s, time.Now().UTC().Format("2006-01-02 15:")) || strings.Contains(s, fmt.Sprint(time.Now().UTC().Add(-time.Minute).Format("2006-01-02 15:")))
	})
	tm.send("\x1b")
	tm.lacks("original")
	tm.send("q")
	if code := tm.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	refused := newTerminal(t, ctview(t, "--time", "unix", "--netns", ns), 120, 20)
	refused.shows("the screen has times of day")
	if code := refused.ended(); code != 2 {
		t.Errorf("exit code %d", code)
	}
}

// nineEast writes a time zone nine hours east of Greenwich (RFC 9636), as machines without tzdata have none.
func nineEast(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "zone")
	text := "TZif" + strings.Repeat("\x00", 16+4*4) + "\x00\x00\x00\x01" + "\x00\x00\x00\x04" + "\x00\x00\x7e\x90" + "\x00\x00" + "JST\x00"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
