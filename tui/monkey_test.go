package tui

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"ctview/model"
)

// monkeyKeys are pressed at random. Those that type are among them, so that prompts and filters get nonsense.
var monkeyKeys = strings.Fields("j k down up g G home end pgdown pgup ctrl+d ctrl+u h l left right enter esc tab shift+tab space f s S < > c b B " +
	"p F R + - o i z y w v D N u : ? f1 / = ! t a r m n 1 2 3 4 5 6 7 x q ctrl+a ctrl+x ctrl+r ctrl+s ctrl+w ctrl+l backspace " +
	"zone state tcp and or not 5 established ( ) @ \" 192.168.1.10 dport")

// TestMonkey presses keys at random while flows come and go and the terminal changes its size: nothing panics, no line is
// wider than the screen, and no frame has more lines than it has.
func TestMonkey(t *testing.T) {
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			g := newRig(t, 120, 35, append(mockFlows(), manyFlows(int(seed)*20)...), func(o *Options) {
				o.ASCII = seed%2 == 0
				o.Rules = mockRules(t)
				o.Views = map[string]SavedView{"a": {Filter: "udp", Group: "dst"}, "b": {Filter: "@none"}}
				o.SaveFilter = func(string, string) error { return nil }
				o.SaveView = func(string, SavedView) error { return nil }
				o.Create = func(string) (io.WriteCloser, error) { return &memFile{}, nil }
				o.ServiceName = func(model.Proto, uint16) string { return "日本" }
				o.Lookup = func(context.Context, netip.Addr) (string, error) { return "名前.example", nil }
			})
			g.a.opt.Namespaces = fakeNamespaces{g}
			withEvents(g)
			var past []string
			for range 600 {
				switch n := r.IntN(100); {
				case n < 4:
					g.send(tea.WindowSizeMsg{Width: 20 + r.IntN(200), Height: 5 + r.IntN(60)})
				case n < 12:
					g.tick(time.Duration(r.IntN(3000)) * time.Millisecond)
				case n < 16 && len(g.store.rows) > 0:
					g.store.remove(g.store.rows[r.IntN(len(g.store.rows))].Flow.Key)
				case n < 18:
					g.store.rows = append(g.store.rows, manyFlows(3)...)
				case n < 20:
					g.send(tea.MouseClickMsg{X: r.IntN(200), Y: r.IntN(60), Button: tea.MouseLeft})
				case n < 22:
					g.send(tea.MouseWheelMsg{Button: tea.MouseWheelDown - tea.MouseButton(r.IntN(2))})
				default:
					k := monkeyKeys[r.IntN(len(monkeyKeys))]
					past = append(past, k)
					g.keys(k)
				}
				lines := strings.Split(g.a.View().Content, "\n")
				if len(lines) > g.a.h {
					t.Fatalf("%d lines on %d after %v", len(lines), g.a.h, past)
				}
				for _, l := range lines {
					if w := ansi.StringWidth(l); w > g.a.w {
						t.Fatalf("a line of %d cells on %d after %v: %q", w, g.a.w, past, l)
					}
				}
			}
		})
	}
}
