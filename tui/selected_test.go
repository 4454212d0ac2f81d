package tui

import (
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/colorprofile"

	"ctview/model"

	"ctview/tui/draw"
)

// A styledWord is a word of a line, and the sequences in force where it stands.
type styledWord struct {
	text, style string
}

// styledWords are the words of a line of a frame; what is of the row as a whole is left out of their styles.
func styledWords(line string, rows ...string) []styledWord {
	var out []styledWord
	style, inWord := "", false
	for len(line) > 0 {
		if strings.HasPrefix(line, "\x1b[") {
			i := strings.IndexByte(line, 'm') + 1
			seq := line[:i]
			line = line[i:]
			switch {
			case seq == draw.ResetSGR:
				style = ""
			case !slices.Contains(rows, seq):
				style += seq
			}
			continue
		}
		if c := line[0]; c == ' ' {
			inWord = false
		} else if inWord {
			out[len(out)-1].text += string(c)
		} else {
			out, inWord = append(out, styledWord{string(c), style}), true
		}
		line = line[1:]
	}
	return out
}

// TestSelectedRowKeepsItsColours: on every screen what has a colour keeps it where the cursor comes, in 256 colours and in sixteen,
// and what is bold without colours stays that; what stands back there does not.
func TestSelectedRowKeepsItsColours(t *testing.T) {
	screens := []struct {
		name  string
		open  func(g *rig)
		loud  string // what has a colour of its own in a row
		moves int
	}{
		{"flows", func(*rig) {}, "ESTABLISHED", 14},
		{"groups", func(g *rig) { withFlood(g); g.keys("2") }, "600", 5},
		{"events", func(g *rig) { withEvents(g); g.keys("3", "home") }, "SYN_RECV", 24},
		{"recent", func(g *rig) { withRecent(g); g.keys("7") }, "begun", 14},
		{"recent groups", func(g *rig) { withRecent(g); g.keys("7", "b", "b", "b") }, "91%", 2},
		{"stats", func(g *rig) {
			withFlood(g)
			g.kernel.cpus = []model.CPUStats{{CPU: 0, Has: 0xff14}}
			g.kernel.cpus[0].Values[10] = 7
			g.keys("4")
		}, "ESTABLISHED", 12},
		{"expect", func(g *rig) {
			g.kernel.expects = []model.Expect{{ID: 1, Helper: "ftp", Tuple: mockFlows()[8].Flow.Orig(), Master: mockFlows()[8].Flow.Orig()},
				{ID: 2, Helper: "sip", Zone: 5, HasZone: true, Tuple: mockFlows()[8].Flow.Orig(), Master: mockFlows()[8].Flow.Orig()}}
			g.keys("5")
		}, "ftp", 4},
		{"notrack", func(g *rig) { g.a.opt.Rules = mockRules(g.t); g.keys("6") }, "trial", 3},
		{"states", func(g *rig) { g.a.opt.States, g.a.opt.Rules = mockStates(g.t), mockRules(g.t); g.keys("e") }, "INVALID", 3},
	}
	for _, p := range []colorprofile.Profile{colorprofile.ANSI256, colorprofile.ANSI, colorprofile.ASCII} {
		for _, s := range screens {
			t.Run(p.String()+" "+s.name, func(t *testing.T) {
				g := newRig(t, 120, 35, mockFlows(), nil)
				g.a.profile = p
				if err := g.a.dress(); err != nil {
					t.Fatal(err)
				}
				s.open(g)
				th := g.a.theme
				frame := func() []string { return strings.Split(g.a.View().Content, "\n") }
				compared, loud := 0, false
				// compare looks at a line without the cursor, and with it.
				compare := func(without, with string) {
					was, is := styledWords(without), styledWords(strings.Replace(with, ">", " ", 1), th[draw.Selected])
					if len(was) != len(is) {
						t.Fatalf("other words:\n%q\n%q", without, with)
					}
					for k, w := range was {
						if w.style == th[draw.Faint] || w.style == th[draw.Finished] {
							continue // may stand out there
						}
						loud = loud || w.text == s.loud && w.style != ""
						if w != is[k] {
							t.Errorf("%q looks %q where the cursor is not, %q where it is:\n%q", w.text, w.style, is[k].style, with)
						}
						compared++
					}
				}
				before := frame()
				for range s.moves {
					g.keys("j")
					after := frame()
					for i := 2; i < min(len(before), len(after))-3; i++ {
						switch b, a := strings.Contains(before[i], th[draw.Selected]), strings.Contains(after[i], th[draw.Selected]); {
						case a && !b:
							compare(before[i], after[i])
						case b && !a:
							compare(after[i], before[i])
						}
					}
					before = after
				}
				if compared == 0 || !loud && p != colorprofile.ASCII {
					t.Errorf("compared %d words, %s among those with a colour: %v\n%s", compared, s.loud, loud, g.screen())
				}
			})
		}
	}
}
