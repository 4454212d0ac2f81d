package ctcompat

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"ctview/model"
)

// TestEventMask: conntrack takes D for DST_NAT, warns, and listens to nothing.
func TestEventMask(t *testing.T) {
	for _, tt := range []struct {
		words string
		want  eventMask
		err   string
	}{
		{"D", eventDestroy, ""},
		{"d,n", eventDestroy | eventNew, ""},
		{"A", eventAll, ""},
		{"UPDATE", eventUpdate, ""},
		{"S", 0, "Bad parameter `S'"},
		{"NEW,SRC_NAT", 0, "Bad parameter `SRC_NAT'"},
	} {
		c, err := newParser(false, "", nil).parse([]string{"conntrack", "-E", "-e", tt.words})
		switch {
		case tt.err != "" && (err == nil || err.Error() != tt.err):
			t.Errorf("-e %s: error %v, want %q", tt.words, err, tt.err)
		case tt.err == "" && (err != nil || c.events != tt.want):
			t.Errorf("-e %s: %v, %v, want %v", tt.words, c, err, tt.want)
		}
	}
}

func TestInetAton(t *testing.T) {
	for _, tt := range []struct {
		in, want string
	}{
		{"1.2.3.4", "1.2.3.4"}, {"1.2.3", "1.2.0.3"}, {"1.2", "1.0.0.2"}, {"1", "0.0.0.1"}, {"0x7f.1", "127.0.0.1"},
		{"0177.0.0.1", "127.0.0.1"}, {"1.2.65535", "1.2.255.255"}, {"4294967295", "255.255.255.255"}, {"1.2.3.4 x", "1.2.3.4"},
		{"1.2.65536", ""}, {"256.1.1.1", ""}, {"1.2.3.4.5", ""}, {"1..2", ""}, {"", ""}, {"-1", ""}, {"+1", ""}, {"08", ""}, {"1.2.3.4x", ""},
	} {
		got, ok := inetAton(tt.in)
		if ok != (tt.want != "") || ok && netip.AddrFrom4(got).String() != tt.want {
			t.Errorf("inetAton(%q) = %v, %v, want %q", tt.in, got, ok, tt.want)
		}
	}
}

// TestGetopt holds permutation and clusters against what getopt_long(3) does; the rest is held against conntrack(8).
func TestGetopt(t *testing.T) {
	for _, tt := range []struct {
		line  string
		posix bool
		want  string // options with their values, then the operands
	}{
		{"a -z b -s c d --zero e", false, "z s=c z | a b d e"},
		{"a -z b", true, "| a -z b"},
		{"-z a -z", true, "z | a -z"},
		{"-zsx y", false, "z s=x | y"},
		{"-z -- -z a", false, "z | -z a"},
		{"b -- -z a", false, "| b -z a"},
		{"-n x", false, "n | x"},
		{"-nx", false, "n=x |"},
		{"-s", false, ": |"},
		{"--zon 5 --zo 6 --z", false, "w=5 w=6 ? |"},
	} {
		g := newGetopt(append([]string{"prog"}, strings.Fields(tt.line)...), shortOptions, longOptions, tt.posix)
		var got []string
		for {
			opt := g.next()
			if opt == optEnd {
				break
			}
			s := string(rune(opt))
			if g.hasValue {
				s += "=" + g.value
			}
			got = append(got, s)
		}
		got = append(got, "|")
		got = append(got, g.args[g.index:]...)
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.line, s, tt.want)
		}
	}
}

func TestPrefixMask(t *testing.T) {
	for _, tt := range []struct {
		f    model.Family
		bits int
		want string
	}{
		{model.IPv4, 0, "0.0.0.0"}, {model.IPv4, 8, "255.0.0.0"}, {model.IPv4, 31, "255.255.255.254"}, {model.IPv4, 32, "255.255.255.255"},
		{model.IPv6, 0, "::"}, {model.IPv6, 1, "8000::"}, {model.IPv6, 64, "ffff:ffff:ffff:ffff::"}, {model.IPv6, 127, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"},
	} {
		if got := tt.f.Addr(prefixMask(tt.f, tt.bits)).String(); got != tt.want {
			t.Errorf("prefixMask(%v, %d) = %s, want %s", tt.f, tt.bits, got, tt.want)
		}
	}
}

// TestInterrupted: what a signal ends says nothing and has a shell's exit code.
func TestInterrupted(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, line := range []string{"-L", "-D -p tcp", "-U -m 5", "-F -f ipv6", "-C expect"} {
		var out, errs strings.Builder
		if code := Main(split(line), Env{Stdout: &out, Stderr: &errs, Context: ctx, Netns: w.ns}); code != exitInterrupted || out.String()+errs.String() != "" {
			t.Errorf("%s: code %d, stdout %q, stderr %q", line, code, out.String(), errs.String())
		}
	}
}
