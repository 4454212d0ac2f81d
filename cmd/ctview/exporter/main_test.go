package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctview/ctnl/lab"
)

// asMain, set in the environment, makes the test binary be ctview-exporter.
const asMain = "CTVIEW_TEST_AS_EXPORTER"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		return
	}
	code := lab.Main(m)
	_ = os.Remove(pureProgram()) // there is none without the race detector
	os.Exit(code)
}

const deadline = 30 * time.Second

// until waits for ok to hold, or ends the test.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", deadline, what)
		}
	}
}

// newNS returns a namespace in which connections are tracked.
func newNS(t testing.TB) *lab.NS {
	t.Helper()
	ns, err := lab.NewNS()
	if err != nil {
		t.Fatalf("NewNS: %v", err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	if err := ns.EnableTracking(); err != nil {
		t.Fatalf("EnableTracking: %v", err)
	}
	return ns
}

// A running is an exporter that runs in a namespace.
type running struct {
	ns     *lab.NS
	cmd    *lab.Cmd
	log    *bytes.Buffer
	client *http.Client
	done   chan error
}

func exporterCommand(t testing.TB, ns *lab.NS, args ...string) *lab.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := ns.Command(self, args...)
	cmd.Env = append(os.Environ(), asMain+"=1", lab.InsideEnv+"=")
	return cmd
}

// begin starts an exporter in ns and waits until it answers with a complete table.
func begin(t testing.TB, ns *lab.NS, args ...string) *running {
	t.Helper()
	r := beginAny(t, ns, args...)
	until(t, "every table is loaded", func() bool {
		m, err := r.scrape()
		loaded := 0
		for name, v := range m {
			if strings.HasPrefix(name, "ctview_table_loaded") {
				loaded += int(v)
			}
		}
		return err == nil && loaded == max(1, strings.Count(strings.Join(args, " "), "--netns"))
	})
	return r
}

// beginAny starts an exporter in ns and waits for nothing.
func beginAny(t testing.TB, ns *lab.NS, args ...string) *running {
	t.Helper()
	return beginCommand(t, ns, exporterCommand(t, ns, args...))
}

func beginCommand(t testing.TB, ns *lab.NS, cmd *lab.Cmd) *running {
	t.Helper()
	r := &running{ns: ns, log: new(bytes.Buffer), cmd: cmd, done: make(chan error, 1)}
	r.cmd.Stderr = r.log
	r.client = &http.Client{Timeout: deadline, Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return ns.Dial(ctx, network, "", addr)
	}}}
	if err := r.cmd.Start(); err != nil {
		t.Fatalf("start the exporter: %v", err)
	}
	go func() { r.done <- r.cmd.Wait() }()
	t.Cleanup(func() {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		if err := <-r.done; err != nil {
			t.Errorf("the exporter ended with %v:\n%s", err, r.log)
		}
		r.done <- nil
		r.client.CloseIdleConnections()
	})
	return r
}

// TestIgnoredStaysIgnored: a script's & has SIGINT ignored, and an exporter that was started so is not ended by one.
func TestIgnoredStaysIgnored(t *testing.T) {
	t.Parallel()
	ns := newNS(t)
	plain := exporterCommand(t, ns)
	cmd := ns.Command("sh", "-c", `trap '' INT; exec "$0"`, plain.Path)
	cmd.Env = plain.Env
	r := beginCommand(t, ns, cmd)
	until(t, "it answers", func() bool { _, err := r.scrape(); return err == nil })
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "SigIgn:")
	ignored, err := strconv.ParseUint(strings.Fields(rest)[0], 16, 64)
	if err != nil || ignored&(1<<(syscall.SIGINT-1)) == 0 {
		t.Errorf("SIGINT is not ignored, %v:\n%s", err, status)
	}
}

// get asks for a page and returns it.
func (r *running) get(path string) (body string, code int, err error) {
	resp, err := r.client.Get("http://" + defaultListen + path)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), resp.StatusCode, err
}

// scrape returns the samples of one scrape by name and labels as they are written.
func (r *running) scrape() (map[string]float64, error) {
	body, code, err := r.get("/metrics")
	if err != nil || code != http.StatusOK {
		return nil, fmt.Errorf("code %d, %w", code, err)
	}
	return samples(body)
}

func samples(text string) (map[string]float64, error) {
	m := map[string]float64{}
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		at := strings.LastIndexByte(s.Text(), ' ')
		v, err := strconv.ParseFloat(s.Text()[at+1:], 64)
		if err != nil {
			return nil, err
		}
		m[s.Text()[:at]] = v
	}
	return m, nil
}

// must is scrape that cannot fail.
func (r *running) must(t testing.TB) map[string]float64 {
	t.Helper()
	m, err := r.scrape()
	if err != nil {
		t.Fatalf("scrape: %v\n%s", err, r.log)
	}
	return m
}
