package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"ctview/ctnl"
	"ctview/model"

	"github.com/spf13/cobra"
)

// A finding is one line of ctview doctor.
type finding struct {
	Check string `json:"check"`
	Mark  mark   `json:"mark"`
	Value string `json:"value"`
	Cure  string `json:"cure,omitempty"` // "" where there is none, or none is needed
	code  int    // exit code of a bad one
}

// A mark says how good a finding is.
type mark int

const (
	markOK      mark = iota
	markUnknown      // could not be told without more permission
	markNote         // ctview works, and something is less than it could be
	markBad          // ctview cannot work
)

var (
	markSigns = [...]string{markOK: "ok", markUnknown: "?", markNote: "!", markBad: "!!"}
	markNames = [...]string{markOK: "ok", markUnknown: "unknown", markNote: "note", markBad: "bad"}
)

// MarshalText implements encoding.TextMarshaler.
func (m mark) MarshalText() ([]byte, error) { return []byte(markNames[m]), nil }

func doctorCommand(g *globals) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "what this kernel and this user can do, and the cure for what they can't",
		Long: `doctor looks at the kernel, the namespace and the user's rights and says what ctview can do with them. It changes
nothing, and it works without privileges as far as it can.

  ok  as it should be             !   ctview works, but shows less than it could
  ?   not told to this user       !!  ctview cannot work

The exit code is 0 unless a line has !!: then 4 (not permitted), 5 (no conntrack in this kernel), or 1.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return usageError{fmt.Sprintf("-o: unknown format %q", output), "the formats of doctor are table and json"}
			}
			return runDoctor(cmd.Context(), g, output == "json")
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "output `FORMAT`: table, json (a line for each check)")
	return cmd
}

func runDoctor(ctx context.Context, g *globals, asJSON bool) error {
	ns, err := ctnl.OpenNetns(g.netns)
	if err != nil {
		return err
	}
	defer ns.Close()
	x, err := examine(ctx, ns, g.netns)
	if err != nil {
		return err
	}
	all := x.judge()
	show := appendFindings
	if asJSON {
		show = appendFindingsJSON
	}
	if _, err := g.out.Write(show(nil, all)); err != nil {
		return failure{err}
	}
	if code := doctorExit(all); code != exitOK {
		return exitWith(code)
	}
	return nil
}

// doctorExit returns the exit code for what was found: that of the first thing that keeps ctview from working.
func doctorExit(all []finding) int {
	for _, f := range all {
		if f.Mark == markBad {
			return f.code
		}
	}
	return exitOK
}

// appendFindings appends a table with the cure of each finding on a line of its own below it.
func appendFindings(dst []byte, all []finding) []byte {
	width := 0
	for _, f := range all {
		width = max(width, len(f.Check))
	}
	for _, f := range all {
		dst = fmt.Appendf(dst, "%-2s  %-*s  %s\n", markSigns[f.Mark], width, f.Check, model.Escape(f.Value))
		if f.Cure != "" {
			dst = fmt.Appendf(dst, "    %-*s  cure: %s\n", width, "", model.Escape(f.Cure))
		}
	}
	return dst
}

// appendFindingsJSON appends a JSON object a line.
func appendFindingsJSON(dst []byte, all []finding) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, f := range all {
		f.Value, f.Cure = model.Escape(f.Value), model.Escape(f.Cure)
		_ = enc.Encode(f) // strings only: it cannot fail
	}
	return append(dst, b.Bytes()...)
}
