package draw

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

// rgb is a colour of the 256 that is not one of the terminal's own sixteen.
func rgb(n int) [3]float64 {
	if n >= 232 {
		v := float64(8 + 10*(n-232))
		return [3]float64{v, v, v}
	}
	step := func(i int) float64 {
		if i == 0 {
			return 0
		}
		return float64(55 + 40*i)
	}
	n -= 16
	return [3]float64{step(n / 36), step(n / 6 % 6), step(n % 6)}
}

// contrast of two colours, by WCAG 2.1.
func contrast(a, b [3]float64) float64 {
	light := func(c [3]float64) float64 {
		for i, v := range c {
			if v /= 255; v <= 0.03928 {
				c[i] = v / 12.92
			} else {
				c[i] = math.Pow((v+0.055)/1.055, 2.4)
			}
		}
		return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2]
	}
	x, y := light(a), light(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// colours reads the colours of a look, -1 for none; ok is false where it has something else that changes contrast.
func colours(sgr string) (fore, back int, ok bool) {
	fore, back, ok = -1, -1, true
	codes := strings.Split(strings.TrimSuffix(strings.TrimPrefix(sgr, "\x1b["), "m"), ";")
	for i := 0; i < len(codes); i++ {
		switch codes[i] {
		case "38", "48":
			n, _ := strconv.Atoi(codes[i+2])
			if n < 16 {
				ok = false
			}
			if codes[i] == "38" {
				fore = n
			} else {
				back = n
			}
			i += 2
		case "1", "9", "":
		default:
			ok = false
		}
	}
	return fore, back, ok
}

// TestContrast: every role can be read on every background that it comes to stand on.
func TestContrast(t *testing.T) {
	const enough = 4.5
	for _, tt := range []struct {
		name  string
		theme Theme
		backs [][3]float64 // of terminals: black, VS Code, One Dark, Solarized; white, Solarized, Catppuccin
	}{
		{"dark", dark256, [][3]float64{{0, 0, 0}, {0x1e, 0x1e, 0x1e}, {0x28, 0x2c, 0x34}, {0, 0x2b, 0x36}}},
		{"light", light256, [][3]float64{{255, 255, 255}, {0xfd, 0xf6, 0xe3}, {0xef, 0xf1, 0xf5}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, row, _ := colours(tt.theme[Selected])
			for name, r := range roleNames {
				fore, back, ok := colours(tt.theme[r])
				if !ok || fore < 0 {
					t.Errorf("%s: %q: no colour that can be judged", name, tt.theme[r])
					continue
				}
				on := tt.backs
				if back >= 0 {
					on = [][3]float64{rgb(back)}
				}
				switch r {
				case Opening, Open, Offload, Closing, Zoned, Helped, Busy, Warn, Strong, Head, Curve, Low, Half, High: // in the current row, too
					on = append(on[:len(on):len(on)], rgb(row))
				}
				for _, b := range on {
					if c := contrast(rgb(fore), b); c < enough {
						t.Errorf("%s: %d on %v: %.2f, want %.1f", name, fore, b, c, enough)
					}
				}
			}
		})
	}
	for r, sgr := range ansiTheme {
		if strings.Contains(sgr, "34") || strings.Contains(sgr, "44") {
			t.Errorf("role %d of ansi is blue: %q", r, sgr)
		}
	}
}

// TestFill: bars change their look as they fill.
func TestFill(t *testing.T) {
	for _, tt := range []struct {
		part, whole float64
		want        Role
	}{{0, 100, Low}, {39, 100, Low}, {40, 100, Half}, {74, 100, Half}, {75, 100, High}, {100, 100, High}, {200, 100, High}} {
		if got := Fill(tt.part, tt.whole); got != tt.want {
			t.Errorf("%v of %v: role %d, want %d", tt.part, tt.whole, got, tt.want)
		}
	}
	for name, th := range map[string]Theme{"ansi": ansiTheme, "dark": dark256, "light": light256} {
		if th[Low] == th[Half] || th[Half] == th[High] || th[Low] == th[High] {
			t.Errorf("%s: bars look the same however full: %q %q %q", name, th[Low], th[Half], th[High])
		}
	}
}
