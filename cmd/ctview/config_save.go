package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// savedName is what a saved filter or view may be called: a bare key of TOML that a filter can name as @name.
var savedName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`) })

// saveFilter keeps a filter as @name in the configuration.
func (g *globals) saveFilter(name, text string) error {
	return g.editConfig(name, func(b []byte) []byte { return setKey(b, "filters", name, strconv.Quote(text)) })
}

// saveView keeps a view as views.name in the configuration.
func (g *globals) saveView(name string, v view) error {
	return g.editConfig(name, func(b []byte) []byte {
		section := "views." + name
		for _, kv := range [][2]string{{"group", v.Group}, {"sort", v.Sort}, {"filter", v.Filter}} {
			if kv[1] != "" {
				b = setKey(b, section, kv[0], strconv.Quote(kv[1]))
			}
		}
		if len(v.Columns) > 0 {
			quoted := make([]string, len(v.Columns))
			for i, c := range v.Columns {
				quoted[i] = strconv.Quote(c)
			}
			b = setKey(b, section, "columns", "["+strings.Join(quoted, ", ")+"]")
		}
		return b
	})
}

// editConfig changes the text of the configuration and leaves everything else in it, comments too, as it was. What
// would come out wrong is not written.
func (g *globals) editConfig(name string, edit func([]byte) []byte) error {
	if !savedName().MatchString(name) {
		return fmt.Errorf("%q is no name for a saved filter or view: letters, digits, _ and -, a letter first", name)
	}
	path, whose, err := g.configPath()
	if err != nil {
		return err
	}
	old, err := g.readConfig(path, whose)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	text := edit(old)
	base, err := g.machineConfig()
	if err == nil {
		_, err = base.with(path, whose, text)
	}
	if err != nil {
		return err
	}
	return asRoot(func() error { return replaceFile(path, whose, text) })
}

// replaceFile writes path anew in one step, with the mode and owner that it had; a new one is whose. The directory is held
// open meanwhile: another user's, under sudo, it may become a link to somewhere else at any time.
func replaceFile(path string, whose int, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	at, err := dir.Stat(".")
	if err != nil {
		return err
	}
	if st, ok := at.Sys().(*syscall.Stat_t); whose != anybody && (!ok || int(st.Uid) != whose) {
		return fmt.Errorf("%s: not a directory of the user (uid %d) whose configuration it holds", filepath.Dir(path), whose)
	}
	name, tmp := filepath.Base(path), fmt.Sprintf(".config-%d", time.Now().UnixNano())
	f, err := dir.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Remove(tmp) }()
	_, err = f.Write(text)
	if fi, serr := dir.Stat(name); serr == nil {
		err = errors.Join(err, f.Chmod(fi.Mode().Perm()), keepOwner(f, fi))
	} else if whose != anybody {
		err = errors.Join(err, keepOwner(f, at))
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return dir.Rename(tmp, name)
}

// keepOwner gives f the owner of the file that it replaces: under sudo the configuration is the calling user's.
func keepOwner(f *os.File, was os.FileInfo) error {
	st, ok := was.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == os.Geteuid() {
		return nil
	}
	return f.Chown(int(st.Uid), int(st.Gid))
}

// setKey sets section.key to value in the text of a TOML file: in place of the key's line, else below the section's
// head, else in a section of its own at the end.
func setKey(b []byte, section, key, value string) []byte {
	lines := strings.SplitAfter(string(b), "\n")
	line := key + " = " + value + "\n"
	head := -1
	for i, l := range lines {
		t := strings.TrimSpace(l)
		if strings.HasPrefix(t, "[") {
			if head >= 0 {
				break
			}
			if name, _, _ := strings.Cut(t, "#"); strings.TrimSpace(name) == "["+section+"]" {
				head = i
			}
			continue
		}
		if k, _, ok := strings.Cut(t, "="); ok && head >= 0 && strings.TrimSpace(k) == key {
			lines[i] = line
			return []byte(strings.Join(lines, ""))
		}
	}
	if head < 0 {
		text := string(b)
		if text != "" {
			text = strings.TrimRight(text, "\n") + "\n\n"
		}
		return []byte(text + "[" + section + "]\n" + line)
	}
	if !strings.HasSuffix(lines[head], "\n") {
		lines[head] += "\n"
	}
	lines[head] += line
	return []byte(strings.Join(lines, ""))
}
