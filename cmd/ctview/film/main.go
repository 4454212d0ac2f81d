// Command film makes docs/ctview.svg, the moving picture of the README: it runs `ctview demo` in an emulated terminal, presses
// the keys of its script, and draws what the terminal showed as an SVG that moves by itself, without a script in it.
//
// usage: film CTVIEW FILE.svg   (make film)
package main

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

const (
	cols, rows    = 112, 30
	cellW, cellH  = 8.4, 18.0 // of a cell, in pixels, at 14 px
	ground, plain = "#16181d", "#d7dae0"
	step          = 500 * time.Millisecond // between two frames while nothing is typed
)

// A scene is keys to press, one after the other, and how long to look at what they led to.
type scene struct {
	keys string
	look time.Duration
}

var script = []scene{
	{"", 3 * time.Second},
	{"/tcp and zone 5\r", 2 * time.Second},
	{"\r", 3 * time.Second}, // the flow under the cursor
	{"\x1b", time.Second},
	{"\x1b", time.Second},
	{"2", 2500 * time.Millisecond},
	{"3", 2500 * time.Millisecond},
	{"4", 3 * time.Second},
	{"1e", 3 * time.Second},
	{"\x1b", time.Second},
}

// A frame is the screen from a moment on: a picture for each line.
type frame struct {
	at    time.Duration
	lines [rows]string
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: film CTVIEW FILE.svg")
		os.Exit(2)
	}
	frames, length, err := shoot(os.Args[1])
	if err == nil {
		err = os.WriteFile(os.Args[2], develop(frames, length), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "film:", err)
		os.Exit(1)
	}
}

// shoot runs the script and returns what was seen, and for how long.
func shoot(ctview string) (frames []frame, length time.Duration, err error) {
	cmd := exec.Command(ctview, "demo")
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "COLORTERM=truecolor", "LC_ALL=C.UTF-8", "XDG_CONFIG_HOME=/nonexistent")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: cols, Rows: rows})
	if err != nil {
		return nil, 0, err
	}
	emu := vt.NewSafeEmulator(cols, rows)
	var ended sync.WaitGroup
	ended.Go(func() { _, _ = io.Copy(tty, emu) }) // its answers to the program's questions
	ended.Go(func() { _, _ = io.Copy(emu, tty) })
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = tty.Close()
		_ = emu.Close()
		ended.Wait()
	}()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(emu.String(), "ESTABLISHED"); time.Sleep(step) {
		if time.Now().After(deadline) {
			return nil, 0, fmt.Errorf("the demo shows no flows:\n%s", emu.String())
		}
	}
	time.Sleep(10 * time.Second) // rates and events come
	began := time.Now()
	look := func() {
		f := frame{at: time.Since(began)}
		for y := range rows {
			f.lines[y] = line(emu, y)
		}
		if n := len(frames); n == 0 || frames[n-1].lines != f.lines {
			frames = append(frames, f)
		}
	}
	for _, s := range script {
		for _, k := range s.keys {
			if _, err := tty.WriteString(string(k)); err != nil {
				return nil, 0, err
			}
			time.Sleep(120 * time.Millisecond)
			look()
		}
		for end := time.Now().Add(s.look); time.Now().Before(end); time.Sleep(step) {
			look()
		}
	}
	return frames, time.Since(began), nil
}

// line draws a line of the screen at the origin: grounds, then runs of text of one look, each as wide as its cells.
func line(emu *vt.SafeEmulator, y int) string {
	var grounds, texts strings.Builder
	for x := 0; x < cols; {
		fg, bg, attrs := look(emu.CellAt(x, y))
		from := x
		var text strings.Builder
		for x < cols {
			c := emu.CellAt(x, y)
			if f, b, a := look(c); f != fg || b != bg || a != attrs {
				break
			}
			if c == nil || c.Content == "" {
				text.WriteByte(' ')
				x++
				continue
			}
			text.WriteString(c.Content)
			x += max(c.Width, 1)
		}
		at, w := float64(from)*cellW, float64(x-from)*cellW
		if bg != ground {
			fmt.Fprintf(&grounds, `<path fill="%s" d="M%.1f 0h%.1fv%.0fh-%.1fz"/>`, bg, at, w, cellH, w)
		}
		if t := strings.TrimRight(text.String(), " "); t != "" {
			fmt.Fprintf(&texts, `<text x="%.1f" y="13.5" textLength="%.1f" fill="%s"%s>%s</text>`, at,
				float64(len([]rune(t)))*cellW, fg, attrs, html.EscapeString(t))
		}
	}
	return grounds.String() + texts.String()
}

// look is how a cell is drawn: two colours and what else the text has.
func look(c *uv.Cell) (fg, bg, attrs string) {
	fg, bg = plain, ground
	if c == nil {
		return fg, bg, ""
	}
	if c.Style.Fg != nil {
		fg = hex(c.Style.Fg)
	}
	if c.Style.Bg != nil {
		bg = hex(c.Style.Bg)
	}
	if c.Style.Attrs&uv.AttrReverse != 0 {
		fg, bg = bg, fg
	}
	if c.Style.Attrs&uv.AttrBold != 0 {
		attrs += ` font-weight="bold"`
	}
	if c.Style.Attrs&uv.AttrFaint != 0 {
		attrs += ` opacity=".6"`
	}
	return fg, bg, attrs
}

func hex(c color.Color) string {
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}

// develop writes the frames as an SVG. A line that several frames have stands in it once.
func develop(frames []frame, length time.Duration) []byte {
	var defs, shown, style bytes.Buffer
	ids := map[string]int{"": 0}
	for i, f := range frames {
		end := length
		if i+1 < len(frames) {
			end = frames[i+1].at
		}
		percent := func(d time.Duration) float64 { return 100 * d.Seconds() / length.Seconds() }
		fmt.Fprintf(&style, "@keyframes k%d{0%%{visibility:hidden}%.3f%%{visibility:visible}%.3f%%,100%%{visibility:hidden}}#f%d{animation-name:k%d}\n",
			i, percent(f.at), percent(end), i, i)
		fmt.Fprintf(&shown, `<g id="f%d">`, i)
		for y, l := range f.lines {
			id, ok := ids[l]
			if !ok {
				id = len(ids)
				ids[l] = id
				fmt.Fprintf(&defs, "<g id=\"l%d\">%s</g>\n", id, l)
			}
			if id > 0 {
				fmt.Fprintf(&shown, `<use href="#l%d" y="%.0f"/>`, id, float64(y)*cellH)
			}
		}
		shown.WriteString("</g>\n")
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" viewBox="-8 -8 %.0f %.0f" font-family="ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14">
<style>text{white-space:pre}g[id^=f]{visibility:hidden;animation:%.1fs step-end infinite}
%s</style>
<rect x="-8" y="-8" width="100%%" height="100%%" rx="8" fill="%s"/>
<defs>
%s</defs>
%s</svg>
`, cols*cellW+16, rows*cellH+16, length.Seconds(), style.Bytes(), ground, defs.Bytes(), shown.Bytes())
	return out.Bytes()
}
