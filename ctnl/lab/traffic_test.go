package lab

import (
	"bufio"
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

// watch runs conntrack -E in the router and marks off what of want its lines contain. A want is words that must all be
// in one line. It returns what is left over when ctx ends.
func watch(ctx context.Context, t *testing.T, l *Lab, want []string, args ...string) []string {
	t.Helper()
	c := l.Router().Command("conntrack", append([]string{"-E"}, args...)...)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Error(err)
		return want
	}
	if err := c.Start(); err != nil {
		t.Error(err)
		return want
	}
	defer context.AfterFunc(ctx, func() { _ = c.Process.Kill() })()
	lines := bufio.NewScanner(out)
	for len(want) > 0 && lines.Scan() {
		have := strings.Fields(lines.Text())
		want = slices.DeleteFunc(want, func(w string) bool {
			for word := range strings.FieldsSeq(w) {
				if !slices.Contains(have, word) {
					return false
				}
			}
			return true
		})
	}
	_ = c.Process.Kill()
	_ = c.Wait()
	return want
}

// At the default rate every kind of flow and every state is met well within a minute, and nothing fails.
func TestRun(t *testing.T) {
	t.Parallel()
	l := testLab(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	stopped, stop := context.WithCancel(t.Context())
	go func() { ended <- l.Run(stopped) }()

	expects := make(chan []string, 1)
	go func() { expects <- watch(ctx, t, l, []string{"[NEW] proto=6 helper=ftp"}, "expect") }()
	left := watch(ctx, t, l, []string{
		"[NEW] tcp SYN_SENT", "[UPDATE] tcp SYN_RECV", "[UPDATE] tcp ESTABLISHED", "[UPDATE] tcp FIN_WAIT",
		"[UPDATE] tcp CLOSE_WAIT", "[UPDATE] tcp LAST_ACK", "[UPDATE] tcp TIME_WAIT", "[UPDATE] tcp CLOSE",
		"[UPDATE] tcp SYN_SENT2",
		"[NEW] udp zone=5", "[NEW] tcp zone=7", "tcp helper=ftp", "tcp mark=16", "udp mark=53", "udp [UNREPLIED]",
		"udp [ASSURED]", "[NEW] icmp type=8", "[NEW] icmpv6 type=128", "[NEW] gre", "[NEW] sctp", "[NEW] udplite",
		"tcp dst=203.0.113.80 src=203.0.113.7", "tcp dst=2001:db8:2::80 src=2001:db8:2::7", "tcp dst=192.0.2.1 src=203.0.113.7",
		"tcp src=fd00:9::10 dst=2001:db8:2::1", "tcp dst=192.0.2.1 src=192.168.1.10",
	}, "-o", "id")
	if left = append(left, <-expects...); len(left) > 0 {
		t.Errorf("not seen at the default rate: %q", left)
	}
	for _, name := range []string{"invalid", "untracked"} {
		if n, err := l.counted(name); n == 0 || err != nil {
			t.Errorf("%d %s packets, %v", n, name, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n, err := l.Failures(); n > 0 {
		t.Errorf("%d pieces of the traffic failed; the last: %v", n, err)
	}
}

// Close ends a Run that nobody stopped.
func TestCloseEndsRun(t *testing.T) {
	l := testLab(t, Options{Rate: 20})
	ended := make(chan error, 1)
	go func() { ended <- l.Run(context.Background()) }()
	if left := watch(t.Context(), t, l, []string{"tcp TIME_WAIT"}); len(left) > 0 {
		t.Errorf("no traffic: %q", left)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
