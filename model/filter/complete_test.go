package filter

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var testDynamic = Dynamic{Zones: []uint16{7, 0, 5, 5}, Helpers: []string{"ftp", "x y", "zz"}, Labels: []string{"voip", "bulk"},
	Saved: []string{"web", "noisy"}}

// completions renders what Complete offers at the "|" of text, one "show (hint)" each.
func completions(text string) []string {
	at := strings.Index(text, "|")
	var out []string
	for _, c := range Complete(text[:at]+text[at+1:], at, testDynamic) {
		s := c.Show
		if c.Hint != "" {
			s += " (" + c.Hint + ")"
		}
		out = append(out, s)
	}
	return out
}

func TestComplete(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string // the first ones; all of them if the last is "."
	}{
		// the screen of the filter bar
		{"state established and zo|", []string{"zone <n> (zone of both directions)", "orig zone <n> (zone of the original side)",
			"reply zone <n> (zone of the reply side)", "."}},
		{"|", []string{"state (as in the STATE column)", "src <address> (source: address or prefix)"}},
		{"st|", []string{"state (as in the STATE column)", "status (a bit that is set)", "ct state (as nft means it)", "."}},
		{"tcp |", []string{"and (both)", "or (either)", "."}},
		{"(tcp |", []string{"and (both)", "or (either)", ") (close the parenthesis)", "."}},
		{"tcp a|", []string{"and (both)", "age > <time> (time since its start)", "assured (will not be dropped early)"}},
		{"not ass|", []string{"assured (will not be dropped early)", "."}},
		{"state est|", []string{"established (tcp sctp)", "."}},
		{"state syn|", []string{"syn_sent (tcp)", "syn_recv (tcp)", "syn_sent2 (tcp)", "."}},
		{"state estabilshed|", []string{"."}}, // Parse's error suggests
		{"state {close, time|", []string{"time_wait (tcp)", "timewait (dccp)", "."}},
		{"state {close |", []string{", (one more)", "} (close the set)", "."}},
		{"state established|", []string{"."}},
		{"ct state |", []string{"new (no reply yet)", "established (a reply was seen)"}},
		{"ct st|", []string{"state (as nft means it: new, established …)", "status", "."}},
		{"phase |", []string{"opening (handshake, or no reply yet)"}},
		{"zone |", []string{"0", "5", "7", "!= (not)", "{ (one of several)", "."}},
		{"zone != |", []string{"0", "5", "7", "."}},
		{"helper |", []string{"ftp", `"x y"`, "zz", "none (without)", "sip"}},
		{"label |", []string{"bulk", "voip", "none (without)", "!= (not)", "{ (one of several)", "~ (contains)", "."}},
		{"bytes |", []string{"> (more than)", "< (less than)"}},
		{"bytes > |", []string{"1k", "1M", "10M", "1G", "1Gi", "."}},
		{"rate > 5|", []string{"5Mbit", "."}},
		{"orig |", []string{"src", "dst"}},
		{"reply by|", []string{"bytes", "."}},
		{"src p|", []string{"port <port>", "."}},
		{"src port ht|", []string{"http (80)", "http-alt (8080)", "https (443)", "."}},
		{"dport 44|", []string{"."}},
		{"@n|", []string{"@noisy (saved filter)", "."}},
		{"tcp and @|", []string{"@noisy (saved filter)", "@web (saved filter)", "."}},
		{"tcp or udp and nat|", []string{"(tcp or udp) and nat", "tcp or (udp and nat)", "."}},
		{"foo bar |", []string{"."}},
		{`helper "ft|`, []string{"."}},
		{"tcp) |", []string{"."}},
		{"tcp and |", []string{"state (as in the STATE column)"}},
	} {
		got, want := completions(tt.text), tt.want
		if n := len(want); want[n-1] == "." {
			want = want[:n-1]
		} else {
			got = got[:min(len(got), n)]
		}
		if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
			t.Errorf("%s: (-want +got)\n%s", tt.text, diff)
		}
	}
}

func TestCompleteReplacesTheWord(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"state est|ab and tcp", "state established and tcp"},
		{"tcp and zo|", "tcp and zone "},
		{"zo| 5", "zone 5"},
		{"|", "state "},
		{"tcp |", "tcp and "},
	} {
		at := strings.Index(tt.text, "|")
		text := tt.text[:at] + tt.text[at+1:]
		cs := Complete(text, at, testDynamic)
		if len(cs) == 0 {
			t.Errorf("%s: no completion", tt.text)
			continue
		}
		if got := text[:cs[0].From] + cs[0].Insert + text[cs[0].To:]; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

// Every completion leads to a text that is right as far as it goes.
func TestCompletionsFit(t *testing.T) {
	for _, tt := range accepted {
		for cut := range len(tt.want) + 1 {
			text := tt.want[:cut]
			for _, c := range Complete(text, cut, testDynamic) {
				next := text[:c.From] + c.Insert
				if _, ok := wanted(next); !ok {
					t.Fatalf("%q: %q is offered, and that is wrong", text, next)
				}
			}
		}
	}
}

func FuzzComplete(f *testing.F) {
	for _, tt := range accepted {
		f.Add(tt.text, len(tt.text)/2)
		f.Add(tt.text, len(tt.text))
	}
	f.Fuzz(func(t *testing.T, text string, cursor int) {
		for _, c := range Complete(text, cursor, testDynamic) {
			if c.From < 0 || c.To < c.From || c.To > len(text) || c.Insert == "" || c.Show == "" {
				t.Fatalf("Complete(%q, %d): %+v", text, cursor, c)
			}
		}
	})
}
