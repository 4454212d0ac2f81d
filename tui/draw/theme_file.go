package draw

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ctview/model"
)

// roleNames are the names that a theme file uses for roles.
var roleNames = map[string]Role{"title": Title, "head": Head, "keys": Hint, "strong": Strong, "faint": Faint, "selected": Selected,
	"marked": Marked, "ended": Ended, "opening": Opening, "open": Open, "offload": Offload, "closing": Closing, "finished": Finished,
	"zone": Zoned, "helper": Helped, "rate": Busy, "warn": Warn, "alarm": Alarm, "frame": FrameLine,
	"badge": Badge, "graph": Curve, "low": Low, "half": Half, "high": High}

// attributeCodes are the words of a look beside colours, as SGR codes.
var attributeCodes = map[string]string{"bold": "1", "faint": "2", "italic": "3", "underline": "4", "reverse": "7", "strike": "9"}

var colourNames = []string{"black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"}

// CheckTheme reports what is wrong with a theme of a file: roles and their looks.
func CheckTheme(looks map[string]string) error {
	_, err := customTheme(looks)
	return err
}

// customTheme returns the 16-colour theme with the looks of a file in place of its own. A look is made of attributes
// (bold faint italic underline reverse strike), a colour (red, bright-red, a number to 255, #rrggbb) and, behind "on", a
// colour of the background; "plain" is none.
func customTheme(looks map[string]string) (Theme, error) {
	t := ansiTheme
	for _, name := range slices.Sorted(maps.Keys(looks)) {
		r, ok := roleNames[name]
		if !ok {
			if n := model.Nearest(name, slices.Sorted(maps.Keys(roleNames))); n != "" {
				return t, fmt.Errorf("unknown role %q: did you mean %s?", name, n)
			}
			return t, fmt.Errorf("unknown role %q", name)
		}
		sgr, err := ParseLook(looks[name])
		if err != nil {
			return t, fmt.Errorf("%s: %w", name, err)
		}
		t[r] = sgr
	}
	return t, nil
}

// ParseLook turns the words of a look into an SGR sequence.
func ParseLook(s string) (string, error) {
	var codes []string
	back := false
	for w := range strings.FieldsSeq(strings.ToLower(s)) {
		code, isAttr := attributeCodes[w]
		switch {
		case w == "plain":
			continue
		case w == "on" && !back:
			back = true
			continue
		case isAttr && !back:
		default:
			var err error
			if code, err = colourCode(w, back); err != nil {
				return "", err
			}
			back = false
		}
		codes = append(codes, code)
	}
	if back {
		return "", fmt.Errorf(`a colour is missing behind "on"`)
	}
	if len(codes) == 0 {
		return "", nil
	}
	return "\x1b[" + strings.Join(codes, ";") + "m", nil
}

// colourCode is the SGR code of a colour.
func colourCode(w string, back bool) (string, error) {
	base, wide := 30, "38"
	if back {
		base, wide = 40, "48"
	}
	name, bright := strings.CutPrefix(w, "bright-")
	if i := slices.Index(colourNames, name); i >= 0 {
		if bright {
			base += 60
		}
		return strconv.Itoa(base + i), nil
	}
	if hex, ok := strings.CutPrefix(w, "#"); ok && len(hex) == 6 {
		if n, err := strconv.ParseUint(hex, 16, 32); err == nil {
			return fmt.Sprintf("%s;2;%d;%d;%d", wide, n>>16, n>>8&255, n&255), nil
		}
	}
	if n, err := strconv.ParseUint(w, 10, 8); err == nil {
		return fmt.Sprintf("%s;5;%d", wide, n), nil
	}
	return "", fmt.Errorf("unknown colour or attribute %q", w)
}
