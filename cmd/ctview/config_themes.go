package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ctview/tui"
	"ctview/tui/draw"

	"github.com/pelletier/go-toml/v2"
)

// loadThemes reads every NAME.toml of dir: roles and their looks. A directory that is not there, or is another user's
// secret, has none. A file that is wrong, or not whose, is an error that names it.
func loadThemes(dir string, whose int) (map[string]map[string]string, error) {
	var files []os.DirEntry
	err := asRoot(func() (err error) {
		files, err = os.ReadDir(dir)
		return err
	})
	if notThere(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fileError("themes: ", err, "")
	}
	out := map[string]map[string]string{}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".toml")
		if !ok || slices.Contains(draw.Themes, name) {
			continue
		}
		path := filepath.Join(dir, f.Name())
		b, err := readText(path, whose)
		if err != nil {
			return nil, fileError("themes: ", err, "")
		}
		looks, err := parseTheme(path, b)
		if err != nil {
			return nil, err
		}
		out[name] = looks
	}
	return out, nil
}

// parseTheme reads the text of a theme file.
func parseTheme(path string, b []byte) (map[string]string, error) {
	looks := map[string]string{}
	if err := toml.NewDecoder(bytes.NewReader(b)).Decode(&looks); err != nil {
		return nil, configError(path, err)
	}
	if err := draw.CheckTheme(looks); err != nil {
		return nil, usageError{fmt.Sprintf("config: %s: %v", path, err), ""}
	}
	return looks, nil
}

// checkThemeName reports a theme that is neither ctview's own nor one of custom.
func checkThemeName(name string, custom map[string]map[string]string) error {
	if name == "" || slices.Contains(draw.Themes, name) || custom[name] != nil {
		return nil
	}
	known := append(slices.Clone(draw.Themes), slices.Sorted(maps.Keys(custom))...)
	return fmt.Errorf("theme: unknown theme %q: the themes are %s, or a file of that name beside the configuration, themes/%s.toml",
		name, strings.Join(known, ", "), name)
}

// checkKeys reports a key of [keys] that is no action.
func checkKeys(keys map[string][]string) error {
	actions := tui.Actions()
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		if _, ok := actions[name]; !ok {
			return fmt.Errorf("keys.%s: there is no such action; \":\" and Tab on the screen list them", name)
		}
		if len(keys[name]) == 0 {
			return fmt.Errorf("keys.%s: no key: to keep an action without one, name a key that you have not", name)
		}
	}
	return nil
}
