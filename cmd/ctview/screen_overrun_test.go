package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestScreenOverrun stops ctview until its event socket has overrun, while flows are made, marked and deleted. It says so,
// and what it then shows is what the kernel has.
func TestScreenOverrun(t *testing.T) {
	ns, f := trackedNS(t)
	ctx := context.Background()
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(f.Create(ctx, 0, 2000))
	tm := newTerminal(t, ctview(t, "--netns", ns.Path(), "--refresh", "500ms"), 160, 35)
	tm.shows("flows 2000/")
	do(tm.cmd.Process.Signal(syscall.SIGSTOP))
	for range 53 { // of which the largest buffer that ctview asks for holds 104 857
		do(f.Update(ctx, 0, 2000, 7))
	}
	do(f.Destroy(ctx, 0, 500))
	do(f.Create(ctx, 2000, 3000))
	do(f.Update(ctx, 500, 1500, 9))
	do(tm.cmd.Process.Signal(syscall.SIGCONT))
	lost := regexp.MustCompile(`lost [1-9][0-9]* `)
	tm.until("the loss and the repair", func(s string) bool {
		return lost.MatchString(s) && strings.Contains(s, "LIVE") && strings.Contains(s, "flows 2500/") && strings.Contains(s, "resynced in")
	})

	tm.shows(" events lost, the last ") // the line of findings, long after the message

	file := filepath.Join(t.TempDir(), "shown.json")
	tm.send(":write " + file + "\r")
	tm.shows("2500 lines written")
	shown := must(os.ReadFile(file))(t)
	kernel := must(ctview(t, "list", "--netns", ns.Path(), "-o", "json").Output())(t)
	if diff := cmp.Diff(identities(t, kernel), identities(t, shown)); diff != "" {
		t.Errorf("the screen differs from the kernel (-kernel +screen):\n%s", diff)
	}
}

// identities returns what must be equal of the flows in JSON lines: who they are, in what state, and what they carry.
func identities(t *testing.T, lines []byte) (all []string) {
	t.Helper()
	for sc := bufio.NewScanner(bytes.NewReader(lines)); sc.Scan(); {
		var f struct {
			Orig, Reply   map[string]any
			State         string
			Status        []string
			ID            uint32
			Zone          uint16
			Mark          uint32
			Proto, Helper string
		}
		if err := json.Unmarshal(sc.Bytes(), &f); err != nil {
			t.Fatalf("%v in %s", err, sc.Bytes())
		}
		for _, m := range []map[string]any{f.Orig, f.Reply} { // they go on counting
			for _, amount := range []string{"packets", "bytes", "pps", "rate"} {
				delete(m, amount)
			}
		}
		all = append(all, fmt.Sprint(f))
	}
	slices.Sort(all)
	return all
}
