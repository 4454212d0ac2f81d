package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// An outputForm is the value of -o and of -j, which is -o json.
type outputForm struct {
	to     *string
	names  []string // that the command has, the default first
	set    string   // what was asked for, "" for nothing
	isJSON bool     // the value is that of -j
	same   *outputForm
}

// addOutput adds -o, whose forms are names, the first one the default, and where json is among them -j. what is said of them
// behind their names. An unknown form never reaches the command.
func addOutput(cmd *cobra.Command, to *string, what string, names ...string) {
	*to = names[0]
	o := &outputForm{to: to, names: names}
	usage := "output `FORMAT`: " + strings.Join(names, ", ")
	if what != "" {
		usage += " (" + what + ")"
	}
	cmd.Flags().VarP(o, "output", "o", usage)
	offer(cmd, "output", names...)
	if slices.Contains(names, "json") {
		j := cmd.Flags().VarPF(&outputForm{to: to, names: names, isJSON: true, same: o}, "json", "j", "-o json: an object a line")
		j.NoOptDefVal = "true"
	}
}

func (o *outputForm) String() string {
	if o.to == nil || o.isJSON {
		return ""
	}
	return *o.to
}

// Type implements pflag.Value.
func (o *outputForm) Type() string {
	if o.isJSON {
		return "bool"
	}
	return "string"
}

// Set implements pflag.Value.
func (o *outputForm) Set(s string) error {
	form := strings.ToLower(s)
	switch {
	case o.isJSON && form == "true":
		form = "json"
	case o.isJSON && form == "false":
		return nil
	case o.isJSON:
		return unknownForm{fmt.Sprintf("-j: %q is neither true nor false", s), "-o json is the same"}
	case form == "jsonl" || form == "ndjson": // what ours is
		form = "json"
	}
	if !slices.Contains(o.names, form) {
		cure := "the formats are " + strings.Join(o.names, ", ")
		if (form == "yaml" || form == "yml") && slices.Contains(o.names, "json") {
			cure += "; yq reads json: -o json | yq -p json"
		}
		return unknownForm{fmt.Sprintf("-o: unknown format %q", s), cure}
	}
	asked := o
	if o.same != nil {
		asked = o.same
	}
	if asked.set != "" && asked.set != form && (o.isJSON || asked.set == "json") {
		return unknownForm{fmt.Sprintf("-o: %s and %s: there is one output", asked.set, form), "leave one of them out"}
	}
	asked.set, *o.to = form, form
	return nil
}

// An unknownForm is the error of a form that there is not, with its cure.
type unknownForm struct{ text, cure string }

func (e unknownForm) Error() string { return e.text }

// addNoHeader adds --no-header to a command that prints a table.
func addNoHeader(f *pflag.FlagSet, to *bool) {
	f.BoolVar(to, "no-header", false, "no line with the names of the columns")
}

// withoutHeader takes the line that begins with the column first out of a table.
func withoutHeader(table []byte, first string) []byte {
	for line := range bytes.Lines(table) {
		if bytes.HasPrefix(line, []byte(first+" ")) {
			return bytes.Replace(table, line, nil, 1)
		}
	}
	return table
}

// synonyms are names of flags that other programs have, with ours.
var synonyms = map[string]string{"no-headers": "no-header", "colour": "color", "no-colour": "no-color"}

// normalName takes a flag by the name that other programs have for it.
func normalName(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if ours, ok := synonyms[name]; ok {
		name = ours
	}
	return pflag.NormalizedName(name)
}
