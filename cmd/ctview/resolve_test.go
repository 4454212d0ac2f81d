package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"ctview/cmd/ctview/names"
	"ctview/model"

	"github.com/google/go-cmp/cmp"
)

// TestResolve lists flows with names: in place of addresses in tables, beside them in JSON, escaped both.
func TestResolve(t *testing.T) {
	ns := newNS(t)
	if err := ns.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	book := map[string]string{"10.0.0.1": "client.example.", "10.0.0.2": "ev\x1b[2Jil.example.", "2001:db8::2": "six.example."}
	lookup := func(_ context.Context, addr string) ([]string, error) {
		if n, ok := book[addr]; ok {
			return []string{n}, nil
		}
		return nil, errors.New("no such host")
	}
	run := func(args ...string) string {
		t.Helper()
		var out, errOut bytes.Buffer
		g := &globals{in: strings.NewReader(""), out: &out, err: &errOut}
		g.resolver = names.New(names.Options{LookupAddr: lookup, Rate: 1e6})
		cmd := newRoot(g, "")
		cmd.SetArgs(append([]string{"--netns", ns.Path()}, args...))
		if err := cmd.ExecuteContext(context.Background()); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, &errOut)
		}
		return out.String()
	}
	run("add", "tcp", "10.0.0.1:40000", "10.0.0.2:443", "--timeout", "300", "--state", "ESTABLISHED")
	run("add", "udp", "[2001:db8::1]:40000", "[2001:db8::2]:53", "--timeout", "300")
	run("add", "icmp", "10.0.0.1", "to", "10.0.0.9", "type", "8", "id", "77", "--timeout", "300")
	run("add", "gre", "10.0.0.1", "10.0.0.2", "--timeout", "300")

	want := `icmp client.example id 77 10.0.0.9
tcp client.example:40000 ev\x1b[2Jil.example:https
udp [2001:db8::1]:40000 six.example:domain
gre client.example ev\x1b[2Jil.example
`
	for _, order := range []string{"--sort", "--limit"} {
		args := []string{"list", "--resolve", "--no-header", "--columns", "proto,src,dst", "--sort", "proto"}
		if order == "--limit" {
			args = append(args, "--limit", "4")
		}
		if diff := cmp.Diff(want, squeeze(run(args...))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", order, diff)
		}
	}
	if got := squeeze(run("list", "--resolve", "--no-header", "--columns", "src,dst", "tcp")); got != "client.example:40000 ev\\x1b[2Jil.example:https\n" {
		t.Errorf("streamed: %q", got)
	}
	if got := run("list", "-o", "json", "--resolve", "tcp"); !strings.Contains(got, `"sport":40000,"dport":443,"src_name":"client.example","dst_name":"ev\u001b[2Jil.example"`) {
		t.Errorf("json: %s", got)
	}
	if got := run("list", "-o", "json", "tcp"); strings.Contains(got, "_name") {
		t.Errorf("names that nobody asked for: %s", got)
	}
}

// squeeze puts one blank where a table has many, and none at the end of a line.
func squeeze(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}

// TestHostName holds that a stream asks in the background, and once.
func TestHostName(t *testing.T) {
	asked := make(chan string, 10)
	g := &globals{resolver: names.New(names.Options{LookupAddr: func(_ context.Context, addr string) ([]string, error) {
		asked <- addr
		return []string{"one.example"}, nil
	}})}
	k := model.Key{Family: model.IPv4, Src: [16]byte{10: 0xff, 11: 0xff, 12: 10, 15: 1}}
	name := g.hostName(true)
	if n := name(k.Family, k.Src); n != "" {
		t.Errorf("a name %q before it was asked for", n)
	}
	if a := <-asked; a != "10.0.0.1" {
		t.Errorf("asked for %s", a)
	}
	for name(k.Family, k.Src) == "" { // until the answer is kept
	}
	select {
	case a := <-asked:
		t.Errorf("asked for %s again", a)
	default:
	}
}
