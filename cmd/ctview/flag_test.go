package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

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
	n := 0
	refuses := func(words []string, name string, args ...string) {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			n++
			var out, errOut bytes.Buffer
			if code := run(context.Background(), args, strings.NewReader(""), &out, &errOut); code != exitUsage {
				t.Errorf("exit code %d, want %d; %s", code, exitUsage, &errOut)
			}
			if !strings.Contains(errOut.String(), "--"+name+": ") || strings.Contains(errOut.String(), "strconv") {
				t.Errorf("message %q does not name --%s in words", &errOut, name)
			}
		})
	}
	eachCommand(newRoot(&globals{}), []string{"ctview"}, func(cmd *cobra.Command, words []string) {
		cmd.InitDefaultHelpFlag()
		visit := func(f *pflag.Flag) {
			if f.Annotations[mayBeEmpty] != nil {
				return
			}
			if cmd.DisableFlagParsing { // conntrack's own options are conntrack's; before them stands --netns
				if f.Name != "netns" {
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

// TestEmptyWord gives every command an operand that is empty, alone and behind others.
func TestEmptyWord(t *testing.T) {
	eachCommand(newRoot(&globals{}), []string{"ctview"}, func(cmd *cobra.Command, words []string) {
		if cmd.DisableFlagParsing || !cmd.Runnable() || cmd.Name() == "help" {
			return
		}
		for _, more := range [][]string{{""}, {" "}, {"tcp", ""}} {
			args := append(words[:len(words):len(words)], more...)
			var out, errOut bytes.Buffer
			if code := run(context.Background(), args, strings.NewReader(""), &out, &errOut); code != exitUsage {
				t.Errorf("%q: exit code %d, want %d; %s", args, code, exitUsage, &errOut)
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
			var out, errOut bytes.Buffer
			code := run(context.Background(), strings.Fields("ctview "+tt.args), strings.NewReader(""), &out, &errOut)
			if code != exitUsage || !strings.Contains(errOut.String(), tt.want) {
				t.Errorf("exit code %d and %q, want %d and %q", code, &errOut, exitUsage, tt.want)
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
