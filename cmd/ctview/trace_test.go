package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"ctview/ctnl/lab/labtest"
)

// TestTraceCommand has a flow of the table traced by its number: what comes is marked, dropped by a rule, and told so;
// afterwards the ruleset is what it was. Unanswered, the question changes nothing.
func TestTraceCommand(t *testing.T) {
	ns := labtest.NS(t)
	labtest.Rules(t, ns, labtest.Tracking+`table inet fw {
	chain in { type filter hook input priority 10; udp dport 53 counter; udp dport 53 ct packets > 1 drop; }
}
`)
	list := func() string {
		out, err := labtest.Command(ns, "nft", "-s", "list", "ruleset").Output()
		labtest.Must(t, err)
		return string(out)
	}
	before := list()
	server, err := ns.ListenPacket("udp4", "127.0.0.1:53")
	labtest.Must(t, err)
	defer func() { _ = server.Close() }()
	c, err := ns.Dial(t.Context(), "udp4", "127.0.0.1:4000", "127.0.0.1:53")
	labtest.Must(t, err)
	defer func() { _ = c.Close() }()
	_, err = c.Write([]byte("secret"))
	labtest.Must(t, err)

	var flow struct{ ID uint32 }
	out, err := ctview(t, "get", "--netns", ns.Path(), "-o", "json", "udp", "127.0.0.1:4000", "127.0.0.1:53").Output()
	labtest.Must(t, err)
	labtest.Must(t, json.Unmarshal(out, &flow))

	var asked strings.Builder
	ask := ctview(t, "trace", "--netns", ns.Path(), "udp", "127.0.0.1:4000", "127.0.0.1:53")
	ask.Stderr = &asked
	if err := ask.Run(); err == nil || ask.ProcessState.ExitCode() != 2 || !strings.Contains(asked.String(), "there is no terminal to ask on") {
		t.Errorf("without an answer: %v, %q; want exit code 2", err, asked.String())
	}
	if now := list(); now != before {
		t.Fatalf("without an answer it changed the rules:\n%s", now)
	}

	cmd := ctview(t, "trace", "--netns", ns.Path(), fmt.Sprint(flow.ID), "--yes", "--for", "20s", "--packets", "1")
	pipe, err := cmd.StdoutPipe()
	labtest.Must(t, err)
	labtest.Must(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for end := time.Now().Add(15 * time.Second); !strings.Contains(list(), "meta nftrace set 1"); {
		if time.Now().After(end) {
			t.Fatal("no table with nftrace within 15 s")
		}
	}
	_, err = c.Write([]byte("secret"))
	labtest.Must(t, err)
	lines := bufio.NewReader(pipe)
	var got strings.Builder
	for !strings.Contains(got.String(), " = dropped") {
		line, err := lines.ReadString('\n')
		got.WriteString(line)
		if err == io.EOF {
			break
		}
	}
	for _, want := range []string{"udp 127.0.0.1:4000 > 127.0.0.1:53 len 34", " = dropped by inet fw in, handle "} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("it says\n%s\nwithout %q", got.String(), want)
		}
	}
	if strings.Contains(got.String(), "secret") {
		t.Errorf("payload is told:\n%s", got.String())
	}
	labtest.Must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	for end := time.Now().Add(15 * time.Second); list() != before; {
		if time.Now().After(end) {
			t.Fatalf("killed, it left:\n%s", list())
		}
	}
}
