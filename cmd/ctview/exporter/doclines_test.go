package main

import (
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"ctview/cmd/ctview/doclines"
	"ctview/ctnl/lab"
)

// TestDocumentLines runs every command line of ctview-exporter that the documents show until it does what it is for: it tells a
// scraper, or a collector has a record.
func TestDocumentLines(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	lines, err := doclines.Read(append(files, "../../../README.md")...)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range lines {
		args, ours := strings.CutPrefix(l.Text, "ctview-exporter")
		if !ours {
			continue
		}
		n++
		t.Run(l.Text, func(t *testing.T) {
			t.Parallel()
			ns := newNS(t)
			if out, err := ns.Command("sh", "-c", "ip address add 192.0.2.1/32 dev lo && ip address add 192.0.2.9/32 dev lo").CombinedOutput(); err != nil {
				t.Fatalf("ip: %v\n%s", err, out)
			}
			config := write(t, t.TempDir(), "web.yml", "{}\n")
			args := strings.NewReplacer("blue", ns.Path(), "red", newNS(t).Path(), "/etc/ctview/web.yml", config).Replace(args)
			var heard atomic.Bool
			m := regexp.MustCompile(`--ipfix (\S+)`).FindStringSubmatch(args)
			if m != nil {
				collect(t, ns, m[1], strings.Contains(args, "tcp"), &heard)
			}
			r := beginAny(t, ns, strings.Fields(args)...)
			if m != nil {
				flow := fillNS(t, ns, 0)
				until(t, "the collector hears of it", func() bool {
					for _, step := range []error{flow.Create(t.Context(), 0, 1), flow.Destroy(t.Context(), 0, 1)} {
						if step != nil {
							t.Fatal(step)
						}
					}
					return heard.Load()
				})
				return
			}
			addr := defaultListen
			if m := regexp.MustCompile(`--listen (\S+)`).FindStringSubmatch(args); m != nil {
				addr = m[1]
			}
			until(t, "it tells what it knows", func() bool {
				resp, err := r.client.Get("http://" + addr + "/metrics")
				if err != nil {
					return false
				}
				defer resp.Body.Close()
				return resp.StatusCode == 200
			})
		})
	}
	if n == 0 {
		t.Error("the documents show no line of ctview-exporter")
	}
}

// collect listens as a collector until the end of the test; heard is set once anything comes.
func collect(t *testing.T, ns *lab.NS, addr string, tcp bool, heard *atomic.Bool) {
	t.Helper()
	read := func(r interface{ Read([]byte) (int, error) }) {
		for b := make([]byte, 64<<10); ; {
			if n, err := r.Read(b); err != nil {
				return
			} else if n > 0 {
				heard.Store(true)
			}
		}
	}
	if tcp {
		l, err := ns.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { read(c); _ = c.Close() }()
			}
		}()
		return
	}
	c, err := ns.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go read(c.(net.Conn))
}
