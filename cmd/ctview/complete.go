package main

import (
	"os"
	"slices"
	"strings"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/table"

	"github.com/spf13/cobra"
)

// netnsNames is where ip netns keeps the names.
const netnsNames = "/run/netns"

// addCompletions lets a shell complete what the commands below root take: filters, and the values of flags.
func addCompletions(g *globals, root *cobra.Command) {
	_ = root.RegisterFlagCompletionFunc("netns", func(*cobra.Command, []string, string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
		files, _ := os.ReadDir(netnsNames)
		for _, f := range files {
			if model.Escape(f.Name()) == f.Name() { // the shell prints it as it is
				names = append(names, f.Name())
			}
		}
		return names, cobra.ShellCompDirectiveDefault // or a path
	})
	for _, cmd := range append(root.Commands(), root) {
		if strings.Contains(cmd.Use, "FILTER") {
			cmd.ValidArgsFunction = g.completeFilter
		}
		for _, f := range []struct {
			name   string
			values func() []string
			many   bool // joined by commas
		}{
			{"sort", sortOrders, false},
			{"group-by", groupKeys, true},
			{"state", stateNames, false},
			{"status", func() []string { return []string{"assured", "fixed_timeout", "seen_reply"} }, true},
			{"columns", columnNames, true},
			{"theme", func() []string { return []string{"auto", "none", "ansi", "256", "light256"} }, false},
			{"types", func() []string { return []string{"new", "update", "destroy"} }, true},
		} {
			if cmd.Flags().Lookup(f.name) != nil {
				_ = cmd.RegisterFlagCompletionFunc(f.name, listed(f.values, f.many))
			}
		}
	}
}

// listed completes a name, or, of many joined by commas, the last one with what is not there yet.
func listed(values func() []string, many bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, word string) (out []cobra.Completion, _ cobra.ShellCompDirective) {
		before := ""
		if many {
			before = word[:strings.LastIndexByte(word, ',')+1]
		}
		there := strings.Split(before, ",")
		for _, v := range values() {
			if strings.HasPrefix(before+v, word) && (before == "" || !slices.Contains(there, v)) {
				out = append(out, before+v)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// sortOrders are the columns, and each with its direction.
func sortOrders() (orders []string) {
	for _, c := range columnNames() {
		orders = append(orders, c, c+":desc", c+":asc")
	}
	return orders
}

// groupKeys are the values of --group-by that are words.
func groupKeys() (keys []string) {
	for _, c := range columnNames() {
		if _, err := table.ParseGroupKeys(c); err == nil {
			keys = append(keys, c)
		}
	}
	return append(keys, "nat-ports")
}

// stateNames are the states of every protocol that has some.
func stateNames() (names []string) {
	for _, p := range []model.Proto{model.ProtoTCP, model.ProtoSCTP, model.ProtoDCCP} {
		names = append(names, model.StateNames(p)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func columnNames() (names []string) {
	for _, c := range model.Columns() {
		names = append(names, c.String())
	}
	return names
}

// completeFilter completes the last word of a filter.
func (g *globals) completeFilter(_ *cobra.Command, args []string, word string) (out []cobra.Completion, _ cobra.ShellCompDirective) {
	text := strings.Join(append(args, word), " ")
	start := len(text) - len(word)
	for _, c := range filter.Complete(text, len(text), g.dynamic()) {
		if c.From < start { // begins in a word that the shell does not complete
			continue
		}
		w := strings.TrimSuffix(text[start:c.From]+c.Insert, " ")
		// A shell puts a completion in place of what is typed. One quoted word may hold blanks.
		if strings.HasPrefix(strings.ToLower(w), strings.ToLower(word)) && (!strings.Contains(w, " ") || strings.Contains(word, " ")) {
			out = append(out, cobra.CompletionWithDesc(w, c.Hint))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// dynamic is what only this user and machine know of a filter's words.
func (g *globals) dynamic() (d filter.Dynamic) {
	c, err := g.settings()
	if err != nil {
		return d
	}
	for name := range c.Filters {
		d.Saved = append(d.Saved, name)
	}
	return d
}
