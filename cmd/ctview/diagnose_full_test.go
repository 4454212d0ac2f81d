//go:build kernels

package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"ctview/ctnl/lab"
	"ctview/ctnl/lab/fill"
	"ctview/model"
)

// hostSetting writes a setting of the host's table until the test ends: it runs where the host is the test's own.
func hostSetting(t *testing.T, name string, v int) {
	t.Helper()
	file := "/proc/sys/net/netfilter/" + name
	was := must(os.ReadFile(file))(t)
	if err := os.WriteFile(file, []byte(strconv.Itoa(v)), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(file, []byte(strings.TrimSpace(string(was))), 0) })
}

// stat reads a counter of the kernel's, summed over the processors.
func (s *stage) stat(n int) int {
	s.t.Helper()
	v, _ := model.SumStats(must(s.k.CPUStats(context.Background()))(s.t), n)
	return int(v)
}

// screenCounts brings up the findings, lets trouble be made and looks for what the screen says of it, with the kernel's number.
func (s *stage) screenCounts(number int, least int, make func(i int), said string) {
	s.t.Helper()
	tm := newTerminal(s.t, ctview(s.t, "--netns", s.Router().Path(), "--ascii"), 200, 60, "NO_COLOR=1")
	tm.shows("LIVE")
	tm.send("!")
	tm.shows("nothing is found") // the counters were read once
	was := s.stat(number)
	for i, end := 0, time.Now().Add(patience); s.stat(number)-was < least; i++ {
		if time.Now().After(end) {
			s.t.Fatalf("the kernel counts %d, want %d", s.stat(number)-was, least)
		}
		make(i)
	}
	tm.shows(fmt.Sprintf("!! %d %s", s.stat(number)-was, said))
	tm.send("q")
}

// TestFullTableFindings fills the table of the host for real: what is assured is kept and new packets are dropped; what is not
// makes room; and in a table of few buckets chains grow too long.
func TestFullTableFindings(t *testing.T) {
	const limit = 300
	for _, tt := range []struct {
		name   string
		number int
		status model.Status
		said   string
	}{
		{"drops", 10, model.StatusSeenReply | model.StatusAssured, "packets dropped, the last "},
		{"early drops", 11, 0, "entries thrown out early, the last "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			s.longer()
			hostSetting(t, "nf_conntrack_buckets", 64)
			hostSetting(t, "nf_conntrack_max", limit)
			full := func() {
				for i := range limit {
					sp := established(fmt.Sprintf("10.0.0.1:%d", 1000+i), "10.9.0.1:443")
					sp.Timeout, sp.Flow.Status, sp.Has = 600, tt.status, sp.Has|model.HasStatus
					if s.k.Create(context.Background(), sp) != nil {
						return
					}
				}
			}
			s.screenCounts(tt.number, 5, func(i int) {
				if i == 0 {
					full()
				}
				s.send(lab.Packet{Src: at("192.168.1.200", 0, 20000+i%20000), Dst: at("203.0.113.193", 0, 443), Proto: model.ProtoUDP, Data: 10})
			}, tt.said)
		})
	}
	t.Run("chains", func(t *testing.T) {
		s := newStage(t)
		s.longer()
		hostSetting(t, "nf_conntrack_buckets", 64)
		hostSetting(t, "nf_conntrack_max", 60000)
		buckets, _ := strconv.Atoi(strings.TrimSpace(string(must(os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_buckets"))(t))))
		f := must(fill.Open(s.Router()))(t)
		defer f.Close()
		s.screenCounts(15, 5, func(i int) {
			if i == 0 { // as far as chains let it, of 50 to 80 entries, two of each flow
				_ = f.Create(context.Background(), 0, buckets*38)
			}
			s.send(lab.Packet{Src: at("192.168.1.200", 0, 20000+i%20000), Dst: at("203.0.113.193", 0, 443), Proto: model.ProtoUDP, Data: 10})
		}, "packets dropped, the last ")
	})
}
