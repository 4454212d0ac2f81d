package tui

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/vt"
)

// A line is a terminal behind a serial line: it counts the bytes that come and shows what they draw.
type line struct {
	mu    sync.Mutex
	term  *vt.SafeEmulator
	bytes int
}

func (l *line) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes += len(p)
	// Without a tty for input the renderer writes bare newlines and relies on the tty's ONLCR.
	_, err := l.term.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")))
	return len(p), err
}

// shows waits until the terminal shows content, and returns how many bytes came since the last call.
func (l *line) shows(t *testing.T, content string, w, h int) int {
	t.Helper()
	want := cellsOf(content, w, h)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		l.mu.Lock()
		got := make([]string, h)
		for y := range h {
			var b strings.Builder
			for x := range w {
				c := l.term.CellAt(x, y)
				if c == nil || c.Content == "" {
					b.WriteByte(' ')
					continue
				}
				b.WriteString(c.Content)
			}
			got[y] = "|" + b.String() + "|"
		}
		n := l.bytes
		if strings.Join(got, "\n") == strings.Join(want, "\n") {
			l.bytes = 0
			l.mu.Unlock()
			return n
		}
		l.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatalf("the terminal shows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// A still is an App that another goroutine may look at between messages: Bubble Tea runs it, the test asks for its frame.
type still struct {
	mu    sync.Mutex
	sized chan struct{} // closed when Bubble Tea's first WindowSizeMsg, which it sends by the way, has come
	*App
}

func (s *still) Init() tea.Cmd { return nil }

func (s *still) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m.(type) { // what else comes would ask, and nobody runs that here
	case doneMsg:
		s.App.Update(m)
	case tea.WindowSizeMsg:
		close(s.sized)
	}
	return s, nil
}

func (s *still) View() tea.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.App.View()
}

func (s *still) content() string { return s.View().Content }

// TestBytesPerFrame counts what goes over the line: on a 9600-baud console a second is 960 bytes.
func TestBytesPerFrame(t *testing.T) {
	const w, h = 120, 35
	g := newRig(t, w, h, manyFlows(500), nil)
	s := &still{App: g.a, sized: make(chan struct{})}
	l := &line{term: vt.NewSafeEmulator(w, h)}
	p := tea.NewProgram(s, tea.WithInput(nil), tea.WithOutput(l), tea.WithWindowSize(w, h), tea.WithColorProfile(colorprofile.ANSI),
		tea.WithoutSignals(), tea.WithFPS(framesPerSecond), tea.WithEnvironment([]string{"TERM=xterm"}))
	done := make(chan error, 1)
	go func() { _, err := p.Run(); done <- err }()
	l.shows(t, s.content(), w, h)
	<-s.sized // draws everything once more, with the next change at the latest

	change := func(name string, limit int, do func()) {
		t.Helper()
		s.mu.Lock()
		do()
		s.mu.Unlock()
		p.Send(doneMsg{func(*App) tea.Cmd { return nil }}) // draws
		n := l.shows(t, s.content(), w, h)
		t.Logf("%-22s %5d bytes", name, n)
		if n > limit {
			t.Errorf("%s: %d bytes, want at most %d", name, n, limit)
		}
	}
	change("the size", 2*w*h, func() { g.tick(time.Second) })
	change("nothing", 0, func() {})
	change("a second later", 500, func() { g.tick(time.Second) })
	change("new counters", 1200, func() {
		for i := range g.store.rows {
			g.store.rows[i].Flow.Bytes[1] += 7
			g.store.rows[i].Flow.Rate[1] += 3
		}
		g.tick(time.Second)
	})
	change("cursor down", 400, func() { g.keys("j") })
	change("a page", 3800, func() { g.keys("pgdown") })
	change("all rows replaced", 3800, func() { g.keys("g", "G", "k") })
	p.Quit()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
