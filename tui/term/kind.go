package term

import (
	"bytes"
	"regexp"
	"strings"
	"sync"

	"github.com/xo/terminfo"
)

// A Kind is what a terminal can be used for.
type Kind byte

// Kinds of terminals.
const (
	Unable Kind = iota // its cursor cannot be moved, or not as ECMA-48 says: no screen
	Plain              // a screen, but one only; it is asked nothing
	Full               // xterm and what takes after it
)

// descriptions are where the system keeps what it knows of terminals. What TERMINFO and the home directory say is left
// out: they are the caller's, where ctview has more rights than the caller.
var descriptions = []string{"/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo"}

// plainNames are terminals without an alternate screen, for systems without descriptions.
var plainNames = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(vt\d|linux|ansi|pcansi|cons25|sun|wy)`) })

// KindOf returns the kind of the terminal called name, the value of TERM.
func KindOf(name string) Kind {
	switch {
	case name == "" || name == "dumb" || name == "unknown" || name == "emacs" || strings.HasPrefix(name, "vt52"):
		return Unable
	case strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, "."):
		return Full // not a name of a file; what such a terminal is nobody knows
	}
	for _, dir := range descriptions {
		ti, err := terminfo.Open(dir, name)
		if err != nil {
			continue
		}
		switch {
		case !bytes.HasPrefix(ti.Strings[terminfo.CursorAddress], []byte("\x1b[")):
			return Unable
		case len(ti.Strings[terminfo.EnterCaMode]) == 0:
			return Plain
		}
		return Full
	}
	if plainNames().MatchString(name) {
		return Plain
	}
	return Full
}
