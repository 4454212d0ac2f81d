package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ctview/ctnl/lab"
	"ctview/ctnl/lab/labtest"
)

// jsonField returns what a line of JSON has at a path such as orig.src, as text; "" where it has nothing there.
func jsonField(t *testing.T, line []byte, path string) string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var v any
	labtest.Must(t, d.Decode(&v))
	for _, name := range strings.Split(path, ".") {
		m, _ := v.(map[string]any)
		if v = m[name]; v == nil {
			return ""
		}
	}
	return fmt.Sprint(v)
}

// natElements are the rows of docs/fleet.md that tell which field is which element of RFC 8158: the field of each.
func natElements(t *testing.T, text string) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (\\w+) \\| \\d+ \\| `([a-z_.]+)`").FindAllStringSubmatch(text, -1) {
		m[row[1]] = row[2]
	}
	if len(m) != 11 {
		t.Fatalf("docs/fleet.md has %d elements: %v", len(m), m)
	}
	return m
}

// TestNATEvents: the line of docs/fleet.md gives each translated session when it begins and when it ends, no other, and its fields
// are the elements of RFC 8158 that the table there says. A host with the block of ports of the rules there gets no other
// port, and what it wants beyond it is counted as it says.
func TestNATEvents(t *testing.T) {
	t.Parallel()
	l, ctx := newLab(t)
	ns := l.Router()
	text := string(must(os.ReadFile("../../docs/fleet.md"))(t))
	command, rules := regexp.MustCompile(`(?m)^ctview (events .* nat)$`).FindStringSubmatch(text), regexp.MustCompile(`(?ms)^table ip blocks \{.*?^\}`).FindString(text)
	if command == nil || !strings.Contains(rules, "10.5.0.10 : 192.0.2.1 . 1024-2047") {
		t.Fatalf("docs/fleet.md: %q %q", command, rules)
	}
	labtest.Rules(t, ns, strings.Replace(rules, "1024-2047", "1024-1027", 1))
	element := natElements(t, text)

	var out bytes.Buffer
	events := ctview(t, append(strings.Fields(command[1]), "--netns", ns.Path(), "--max", "10")...)
	events.Stdout = &out
	labtest.Must(t, events.Start())
	listening(t, events, ns)
	before := dropped(t, ns)
	must(l.OneWay(ctx, lab.From{V6: true}))(t) // not translated
	both := must(l.DNAT(ctx, lab.From{}))(t)
	for port := range 6 {
		c := must(l.Client().Dial(ctx, "udp", fmt.Sprint("10.5.0.10:", 5000+port), "203.0.113.7:514"))(t)
		_, err := c.Write([]byte("x")) // what is dropped may come back as an error
		_ = c.Close()
		if err != nil {
			t.Log(err)
		}
	}
	if n := dropped(t, ns) - before; n != 2 {
		t.Errorf("%d packets were counted as dropped, want the 2 that found no port", n)
	}
	if out, err := ctview(t, "flush", "--yes", "--netns", ns.Path()).CombinedOutput(); err != nil {
		t.Fatalf("flush: %v\n%s", err, out)
	}
	labtest.Must(t, events.Wait())

	ends := map[string][]string{} // of each session, by the rest of the line
	var ports []string
	for line := range bytes.Lines(out.Bytes()) {
		get := func(name string) string { return jsonField(t, line, element[name]) }
		if get("observationTimeMilliseconds") == "" {
			t.Errorf("no time in %s", line)
		}
		what := jsonField(t, line, "event")
		session := ""
		for _, name := range []string{"ingressVRFID", "protocolIdentifier", "sourceIPv4Address", "sourceTransportPort", "destinationIPv4Address",
			"destinationTransportPort", "postNATSourceIPv4Address", "postNAPTSourceTransportPort", "postNATDestinationIPv4Address",
			"postNAPTDestinationTransportPort"} {
			session += " " + get(name)
		}
		ends[session] = append(ends[session], what)
		if get("sourceIPv4Address") == "10.5.0.10" && what == "new" {
			ports = append(ports, get("postNAPTSourceTransportPort"))
		}
	}
	k := both.Key.OrigTuple()
	if want := fmt.Sprintf("  6 %s %d 203.0.113.80 80 192.0.2.1 %d 203.0.113.7 8080", k.SrcAddr(), k.Sport, k.Sport); ends[want] == nil {
		t.Errorf("no session %q in %v", want, ends)
	}
	for session, e := range ends {
		if len(ends) != 5 || !slices.Equal(e, []string{"new", "destroy"}) {
			t.Errorf("%d sessions, want 5; %q: %q", len(ends), session, e)
		}
	}
	if slices.Sort(ports); !slices.Equal(ports, []string{"1024", "1025", "1026", "1027"}) {
		t.Errorf("the host got the ports %q, want its block", ports)
	}
}

// dropped is how many packets a namespace's kernel dropped because the tuple of their flow was taken.
func dropped(t *testing.T, ns *lab.NS) (n uint64) {
	t.Helper()
	text := string(must(ctview(t, "stats", "-o", "prometheus", "--netns", ns.Path()).Output())(t))
	m := regexp.MustCompile(`(?m)^ctview_kernel_insert_failed_total\S* (\d+)$`).FindStringSubmatch(text)
	if m == nil {
		t.Fatal(text)
	}
	return must(strconv.ParseUint(m[1], 10, 64))(t)
}
