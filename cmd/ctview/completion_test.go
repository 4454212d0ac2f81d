package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBashCompletes presses Tab in a real bash, which has no bash-completion: also inside an open quote, where filters are
// written. zsh and fish were tried by hand with the same lines.
func TestBashCompletes(t *testing.T) {
	bin := t.TempDir()
	if err := os.Symlink(testBinary(t), filepath.Join(bin, "ctview")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "--norc", "--noprofile")
	cmd.Env = append(ctview(t).Env, "PATH="+bin+":"+os.Getenv("PATH"), "PS1=$ ", "HOME="+bin, "INPUTRC=/dev/null", "HISTFILE=")
	tm := newTerminal(t, cmd, 100, 40)
	tm.shows("$")
	tm.send("source <(ctview completion bash); echo read''y\r")
	tm.shows("ready")
	for _, tt := range []struct{ typed, want string }{
		{"ctview li\tX", "ctview list X"},
		{"ctview list 'state es\tX", "ctview list 'state established' X"},
		{"ctview list 'tcp and dport 443 and ne\tX", "ctview list 'tcp and dport 443 and net X"}, // its value is to come
		{"ctview list \"helper f\tX", "ctview list \"helper ftp\" X"},
		{"ctview list tcp and zo\tX", "ctview list tcp and zone X"},
		{"ctview list bytes \\>\tX", "ctview list bytes \\>1X"},
		{"ctview list --sort bytes:de\tX", "ctview list --sort bytes:descX"},
		{"ctview list --output=js\tX", "ctview list --output=json X"},
		{"ctview events --types new,d\tX", "ctview events --types new,destroyX"},
		{"true; ctview sta\tX", "true; ctview statX"}, // states and stats
		{"ctview --config " + bin + "/ctv\tX", "ctview --config " + bin + "/ctview X"},
	} {
		tm.send(tt.typed)
		tm.until(tt.want, func(screen string) bool {
			return strings.Contains(strings.ReplaceAll(screen, "\n", ""), "$ "+tt.want)
		})
		tm.send("\x15\x0c") // the line away, the screen empty
		tm.lacks("ctview")
	}
}

// TestListsCompleteWhatIsMissing: behind a comma comes what is not there yet, and none where only one name is taken.
func TestListsCompleteWhatIsMissing(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"list --group-by src,s", "src,state src,sport"},
		{"update --status assured,", "assured,fixed_timeout assured,seen_reply"},
		{"events --types new,update,", "new,update,destroy"},
		{"list --sort src,", ""},
		{"list --theme 256,", ""},
		{"list --sort bytes:d", "bytes:desc"},
	} {
		words := strings.Split(tt.args, " ")
		out, err := ctview(t, append([]string{"__complete"}, words...)...).Output()
		got, _, _ := strings.Cut(string(out), ":6") // the directive
		if got = strings.Join(strings.Fields(got), " "); err != nil || !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" && !strings.HasPrefix(got, ":") {
			t.Errorf("%s: %q, %v, want %q", tt.args, got, err, tt.want)
		}
	}
}

// TestLineIsReadAsAShellDoes holds what the shell would give the program of a line that is not finished.
func TestLineIsReadAsAShellDoes(t *testing.T) {
	for _, tt := range []struct {
		line      string
		words     string // joined by "|"
		last, raw string
		quote     byte
	}{
		{"", "", "", "", 0},
		{"ctview ", "ctview", "", "", 0},
		{"ctview list 'state es", "ctview|list", "state es", "state es", '\''},
		{`ctview list "a \"b`, "ctview|list", `a "b`, `a \"b`, '"'},
		{"ctview list 'a b' c", "ctview|list|a b", "c", "c", 0},
		{`ctview list a\ b`, "ctview|list", "a b", `a\ b`, 0},
		{"ctview list tcp; ctview li", "ctview", "li", "li", 0},
		{"sleep 1 && ctview list zo", "ctview|list", "zo", "zo", 0},
		{`ctview list 'a\`, "ctview|list", `a\`, `a\`, '\''},
		{"ctview list ''", "ctview|list", "", "''", 0},
	} {
		l := splitLine(tt.line)
		if got := strings.Join(l.words, "|"); got != tt.words || l.last != tt.last || l.raw != tt.raw || l.quote != tt.quote {
			t.Errorf("%s: %q, last %q, raw %q, quote %q; want %q, %q, %q, %q", tt.line, got, l.last, l.raw, l.quote, tt.words, tt.last, tt.raw, tt.quote)
		}
	}
}
