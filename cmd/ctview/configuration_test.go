package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ctview/tui"
)

// The text about the configuration stands here and in defaultConfig: ctview.toml(5) and docs/configuration.md are made of it.

var configIntro = []string{
	"The configuration is a TOML file. Every key is optional. `ctview config default` prints it with every key and its default, " +
		"`ctview config check` reads yours and tells what is wrong with it, `ctview config path` tells where it is looked for.",
	"The machine's, /etc/ctview/config.toml, is read first, and on top of it the user's, $XDG_CONFIG_HOME/ctview/config.toml or " +
		"~/.config/ctview/config.toml, whose keys win; filters, views and keys are put together by their names. Under sudo the user is " +
		"who called sudo, if the file is that user's own. `--config FILE`, or CTVIEW_CONFIG, names another file, which then is the only one. " +
		"An option on the command line wins over a key.",
	"A key that is unknown, or a value that is not possible, is an error that names file and line, exit code 2: nothing was done.",
}

// configOptions are the options of the command line that say the same as a key, and what of the screen changes it.
var configOptions = map[string]string{
	"theme": "`--theme`, `:set theme`", "time": "`--time`", "refresh": "`--refresh`, `:set refresh`", "escape_time": "`--escape-time`",
	"sort": "`s` on the screen", "columns": "`c` on the screen", "ascii": "`--ascii`", "mouse": "`--no-mouse`, `:set mouse`",
	"read_only": "`--read-only`", "names": "`r` on the screen, `:set names`", "bits": "`i` on the screen, `:set bits`", "budget": "`--budget`",
}

// configKeys are the keys that stand before the sections, with default and meaning, as defaultConfig has them.
func configKeys() (keys [][3]string) {
	before, _, _ := strings.Cut(defaultConfig, "# [")
	for _, m := range regexp.MustCompile(`(?m)^# (\w+) = (".*?"|\[.*?\]|\S+)(?: +# (.*))?$`).FindAllStringSubmatch(before, -1) {
		keys = append(keys, [3]string{m[1], m[2], m[3]})
	}
	return keys
}

// TestConfigurationDocument holds docs/configuration.md to the program (go test ./cmd/ctview -run
// 'TestManual|TestConfigurationDocument' -update-manual).
func TestConfigurationDocument(t *testing.T) {
	keys := configKeys()
	if n := strings.Count(defaultConfig[:strings.Index(defaultConfig, "# [")], " = "); n != len(keys) {
		t.Errorf("%d keys understood of %d", len(keys), n)
	}
	options := maps.Clone(configOptions)
	root := everyCommand()[0]
	for _, k := range keys {
		if m := regexp.MustCompile("`--([a-z-]+)`").FindStringSubmatch(options[k[0]]); m != nil && root.Flags().Lookup(m[1]) == nil && root.PersistentFlags().Lookup(m[1]) == nil {
			t.Errorf("%s: there is no option --%s", k[0], m[1])
		}
		delete(options, k[0])
	}
	for k := range options {
		t.Errorf("configOptions: %s is no key", k)
	}
	holdDocument(t, "configuration.md", configurationDocument())
}

func configurationDocument() string {
	const width = 120
	var b strings.Builder
	b.WriteString("<!-- Made of cmd/ctview/config.go and configuration_test.go by TestConfigurationDocument; do not edit. -->\n# Configuration\n\n")
	for _, p := range configIntro {
		b.WriteString(wrapped(p, "", "", width) + "\n")
	}
	b.WriteString("## Keys\n\n| key | default | what it is | for once |\n|---|---|---|---|\n")
	for _, k := range configKeys() {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", k[0], k[1], k[2], configOptions[k[0]])
	}
	_, sections, _ := strings.Cut(defaultConfig, "\n# [")
	sections = strings.ReplaceAll("# ["+sections, "\n# ", "\n")[2:]
	b.WriteString("\nThe columns are in [columns.md](columns.md), filters in [filter.md](filter.md), [themes.md](themes.md) tells how to make a theme.\n\n" +
		"## Filters, views and keys by name\n\n```toml\n" + sections + "```\n\n" +
		wrapped("`Ctrl-s` in the filter bar saves a filter, `:save NAME` the view, into the user's file; what else stands in it, comments too, stays as it is.", "", "", width) +
		"\n## Actions for `[keys]`\n\n" +
		wrapped("The keys of an action are put in place of its own, wherever it has some. They are written as here: a letter, `ctrl+d`, `f9`, `pgdown`, "+
			"`space`. An action of the screen itself goes before one that every screen has, as `help`.", "", "", width) +
		"\n| action | its keys | does |\n|---|---|---|\n")
	actions := tui.Actions()
	for _, name := range slices.Sorted(maps.Keys(actions)) {
		a := actions[name]
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, "`"+strings.Join(a.Keys, "` `")+"`", a.Does)
	}
	return b.String()
}
