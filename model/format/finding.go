package format

import (
	"fmt"
	"strings"
	"time"

	"ctview/model"
	"ctview/model/finding"
)

// A findingJSON is a line of docs/finding.schema.json.
type findingJSON struct {
	Event    string     `json:"event"`
	Time     string     `json:"time"`
	Name     string     `json:"name"`
	Subject  string     `json:"subject,omitempty"`
	Severity string     `json:"severity"`
	Text     string     `json:"text"`
	Since    string     `json:"since"`
	Amount   int64      `json:"amount"`
	Filter   string     `json:"filter,omitempty"`
	Cures    []cureJSON `json:"cures,omitempty"`
}

type cureJSON struct {
	What    string `json:"what"`
	Command string `json:"command,omitempty"`
}

// AppendFindingJSON appends f as one object and a line end. now is when it was judged, Unix nanoseconds; over says that it
// was, and is no more.
func AppendFindingJSON(dst []byte, f *finding.Finding, now int64, over bool) []byte {
	at := func(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
	j := findingJSON{Event: "found", Time: at(now), Name: f.Name, Subject: f.Subject, Severity: f.Severity.String(),
		Text: f.Text, Since: at(f.Since), Amount: f.Amount, Filter: f.Filter}
	if over {
		j.Event = "over"
	}
	for _, c := range f.Cures {
		j.Cures = append(j.Cures, cureJSON(c))
	}
	return AppendJSONLine(dst, j)
}

var findingSigns = [...]string{finding.Note: "-", finding.Warning: "!", finding.Severe: "!!"}

// AppendFinding appends f for eyes: the sentence, and below it since when, the command that shows the flows which prove it, and
// the cures. netns is as --netns takes it.
func AppendFinding(dst []byte, f *finding.Finding, now int64, netns string) []byte {
	dst = fmt.Appendf(dst, "%-2s  %s  (%s", findingSigns[f.Severity], model.Escape(f.Text), f.Name)
	if d := time.Duration(now - f.Since); d >= time.Second {
		dst = fmt.Appendf(dst, ", since %s", model.AppendAge(nil, d))
	}
	dst = append(dst, ")\n"...)
	if f.Filter != "" {
		dst = fmt.Appendf(dst, "    proof  %s\n", model.Escape(finding.ListCommand(netns, f.Filter)))
	}
	for i, c := range f.Cures {
		head := "cure "
		if i > 0 {
			head = "or   "
		}
		dst = fmt.Appendf(dst, "    %s  %s\n", head, model.Escape(c.What))
		if c.Command != "" {
			dst = fmt.Appendf(dst, "%s%s\n", strings.Repeat(" ", 11), model.Escape(c.Command))
		}
	}
	return dst
}
