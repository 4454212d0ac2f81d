package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// eachCommand calls fn for every command with the words that call it.
func eachCommand(cmd *cobra.Command, words []string, fn func(*cobra.Command, []string)) {
	fn(cmd, words)
	for _, c := range cmd.Commands() {
		eachCommand(c, append(words[:len(words):len(words)], c.Name()), fn)
	}
}

// TestEmptyIsNotMissing gives every flag of every command an empty value: none may take it for "not given". Nothing is
// done, because flags are read before anything is.
func TestEmptyIsNotMissing(t *testing.T) {
	n, ns := 0, newNS(t)
	refuses := func(words []string, name string, args ...string) {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			n++
			code, diag := 0, ""
			if name == "netns" { // the flag that would keep it away from here: a process, where there is nothing to harm
				c := ns.Command("timeout", append([]string{"-k1", "10", testBinary(t)}, args[1:]...)...)
				c.Env = ctview(t).Env
				out, _ := c.CombinedOutput()
				code, diag = c.ProcessState.ExitCode(), string(out)
			} else {
				code, diag = runNowhere(t, args...)
			}
			if code != exitUsage {
				t.Errorf("exit code %d, want %d; %s", code, exitUsage, diag)
			}
			if !strings.Contains(diag, "--"+name+": ") || strings.Contains(diag, "strconv") {
				t.Errorf("message %q does not name --%s in words", diag, name)
			}
		})
	}
	eachCommand(newRoot(&globals{}, ""), []string{"ctview"}, func(cmd *cobra.Command, words []string) {
		cmd.InitDefaultHelpFlag()
		visit := func(f *pflag.Flag) {
			if f.Annotations[mayBeEmpty] != nil {
				return
			}
			if cmd.DisableFlagParsing { // conntrack's own options are conntrack's; before them stands --netns
				if f.Name != "netns" || cmd.Hidden { // a shell's question is a line as it is
					return
				}
			}
			refuses(words, f.Name, append(words[:len(words):len(words)], "--"+f.Name+"=")...)
			if f.NoOptDefVal == "" { // takes the next word
				refuses(words, f.Name, append(words[:len(words):len(words)], "--"+f.Name, "")...)
			}
			if f.NoOptDefVal == "" && f.Shorthand != "" {
				refuses(words, f.Name, append(words[:len(words):len(words)], "-"+f.Shorthand, "")...)
			}
		}
		cmd.LocalFlags().VisitAll(visit)
		cmd.InheritedFlags().VisitAll(visit)
	})
	if n < 200 {
		t.Errorf("%d flags were tried; the walk through the commands is broken", n)
	}
}

// runNowhere runs ctview in a namespace that does not exist, for 10 s at most: should what is tested not be refused, then a
// command like flush does nothing, least of all to the machine that the tests run on.
func runNowhere(t *testing.T, args ...string) (code int, diag string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	var out, errOut bytes.Buffer
	code = run(ctx, slices.Insert(slices.Clone(args), 1, "--netns", "no-such-namespace"), strings.NewReader(""), &out, &errOut)
	return code, errOut.String()
}

// TestEmptyWord gives every command an operand that is empty, alone and behind others.
func TestEmptyWord(t *testing.T) {
	eachCommand(newRoot(&globals{}, ""), []string{"ctview"}, func(cmd *cobra.Command, words []string) {
		if cmd.DisableFlagParsing || !cmd.Runnable() || cmd.Name() == "help" {
			return
		}
		for _, more := range [][]string{{""}, {" "}, {"tcp", ""}} {
			args := append(words[:len(words):len(words)], more...)
			if code, diag := runNowhere(t, args...); code != exitUsage {
				t.Errorf("%q: exit code %d, want %d; %s", args, code, exitUsage, diag)
			}
		}
	})
}

func TestFlagValues(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"list --limit x", `ctview: --limit: "x" is not a whole number`},
		{"list --limit 99999999999999999999", `is too large or too small`},
		{"events --for soon", `ctview: --for: "soon" is not a time such as 30s, 5m, 1h30m or 2d`},
		{"events --for -5s", "--for: \"-5s\" must not be negative"},
		{"record x --buffer 1Q", `--buffer: "1Q" is not a size`},
		{"record x --buffer 9G", `--buffer: "9G" is too large`},
		{"demo --rate fast", `--rate: "fast" is not a number`},
		{"list --read-only=maybe", `--read-only: "maybe" is neither true nor false`},
		{"update tcp --timeout 1.5s", `--timeout: "1.5s" is no whole number of seconds`},
		{"update tcp --timeout 200y", `--timeout: "200y" is not a time`},
		{"update tcp --mark", "--mark: the value is missing"},
		{"list -Z", "unknown flag: -Z"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			code, diag := runNowhere(t, strings.Fields("ctview "+tt.args)...)
			if code != exitUsage || !strings.Contains(diag, tt.want) {
				t.Errorf("exit code %d and %q, want %d and %q", code, diag, exitUsage, tt.want)
			}
		})
	}
}

func TestFlagUnits(t *testing.T) {
	cmd := eventsCommand(&globals{})
	if err := cmd.ParseFlags(strings.Fields("--for 5 --buffer 1M")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"for": "5s", "buffer": "1000000"} {
		if got := cmd.Flags().Lookup(name).Value.String(); got != want {
			t.Errorf("--%s is %s, want %s", name, got, want)
		}
	}
	var s flowSettings
	add := &cobra.Command{}
	s.addFlags(add, true)
	if err := add.ParseFlags([]string{"-t", "5m"}); err != nil || s.timeout != 300 {
		t.Errorf("-t 5m is %d seconds, %v; want 300", s.timeout, err)
	}
}
