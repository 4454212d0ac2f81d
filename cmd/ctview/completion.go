package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"ctview/model/filter"

	"github.com/spf13/cobra"
)

// completionScripts ask the program itself, whatever version of it is installed, so they never change. They need nothing of
// the bash-completion package, and unlike cobra's they do not evaluate the line: inside an open quote that is an error.
var completionScripts = map[string]string{
	"bash": `# bash completion for ctview
_ctview() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :files) compopt -o default ;;
            :nospace) compopt -o nospace ;;
            *) COMPREPLY+=("$line") ;;
        esac
    done <<<"$("$1" __completeLine "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)"
}
complete -F _ctview ctview
`,
	"zsh": `#compdef ctview
_ctview() {
    local line files opts
    local -a found
    for line in "${(@f)$("${words[1]}" __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        if [[ $line = :* ]]; then
            (( ${line#:} & 2 )) && opts=1
            (( ${line#:} & 4 )) || files=1
        elif [[ -n $line ]]; then
            found+=("${${line%%$'\t'*}//:/\\:}:${${line#*$'\t'}:#${line}}")
        fi
    done
    [[ $PREFIX = -*=* ]] && compset -P '*='
    (( $#found )) && _describe -V ctview found ${opts:+-S} ${opts:+''}
    [[ -n $files && $#found -eq 0 ]] && _files
}
if [[ $zsh_eval_context = *loadautofunc* ]]; then _ctview "$@"; else compdef _ctview ctview; fi
`,
	"fish": `# fish completion for ctview
function __ctview_ask
    set -l words (commandline -opc)
    set -l last (commandline -ct | string replace -r '^["\']' '' | string unescape)
    set -g __ctview_found ($words[1] __complete $words[2..-1] "$last" 2>/dev/null)
    set -l directive (string sub -s 2 -- $__ctview_found[-1])
    set -e __ctview_found[-1]
    if set -l flag (string match -r '^-[^=]*=' -- "$last")
        set __ctview_found $flag$__ctview_found
    end
    test -n "$directive"; and test (math "floor($directive / 4) % 2") -eq 1 # else names of files
end
complete -c ctview -n __ctview_ask -f -a '$__ctview_found'
`,
}

// completionCommand prints what a shell needs to complete ctview's command lines.
func completionCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "what a shell needs to complete ctview's command lines: bash, zsh, fish",
		Long: `completion prints a script. Packages and "make install" put it where the shell looks; by hand, for this session:

  bash   source <(ctview completion bash)
  zsh    source <(ctview completion zsh)     after: autoload -U compinit; compinit
  fish   ctview completion fish | source

and for good:

  bash   ctview completion bash > /etc/bash_completion.d/ctview
  zsh    ctview completion zsh > "${fpath[1]}/_ctview"
  fish   ctview completion fish > ~/.config/fish/completions/ctview.fish`,
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{"completion: say for which shell", "bash, zsh or fish"}
			}
			script := completionScripts[args[0]]
			if script == "" {
				return usageError{fmt.Sprintf("completion: unknown shell %q", args[0]), "bash, zsh or fish"}
			}
			if _, err := fmt.Fprint(g.out, script); err != nil {
				return failure{err}
			}
			return nil
		},
	}
	return cmd
}

// completeLineCommand is what the script for bash asks: what could stand at the end of a line, an answer a line, quoted as
// the line needs it.
func completeLineCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "__completeLine LINE WORDBREAKS", Hidden: true, Args: cobra.ExactArgs(2), DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			l := splitLine(args[0])
			if len(l.words) == 0 {
				return nil
			}
			var out bytes.Buffer
			inner := &globals{in: g.in, out: &out, err: new(bytes.Buffer)}
			root := newRoot(inner, "")
			root.SetArgs(append(append([]string{cobra.ShellCompRequestCmd}, l.words[1:]...), l.last))
			root.SetOut(&out)
			root.SetErr(inner.err)
			if err := root.ExecuteContext(context.WithoutCancel(cmd.Context())); err != nil {
				return err
			}
			_, err := fmt.Fprint(g.out, l.answers(out.String(), args[1]))
			return err
		},
	}
}

// A shellLine is a command line up to the cursor.
type shellLine struct {
	words []string // those before the last, as the program would get them
	last  string   // the one that the cursor is at the end of, "" behind a blank
	raw   string   // of that what follows the last open quote, or all, as it was typed
	quote byte     // the quote that is open, 0 for none
}

// splitLine reads a line as a shell does that stops in the middle of it: quotes, backslashes; what joins commands ends the one
// before.
func splitLine(line string) (l shellLine) {
	var word strings.Builder
	begun := false
	from, quoted := 0, 0 // where the word begins, and what is behind its last quote
	end := func() {
		if begun {
			l.words = append(l.words, word.String())
		}
		word.Reset()
		begun = false
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case l.quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			end()
		case l.quote == 0 && strings.IndexByte(";|&", c) >= 0:
			end()
			l.words = nil
		case l.quote == 0 && (c == '\'' || c == '"'):
			if !begun {
				begun, from = true, i
			}
			l.quote, quoted = c, i+1
		case c == l.quote:
			l.quote = 0
		case c == '\\' && l.quote != '\'' && i+1 < len(line):
			if !begun {
				begun, from = true, i
			}
			i++
			word.WriteByte(line[i])
		default:
			if !begun {
				begun, from = true, i
			}
			word.WriteByte(c)
		}
	}
	if begun {
		l.last, l.raw = word.String(), line[from:]
	}
	if l.quote != 0 {
		l.raw = line[quoted:]
	}
	return l
}

// answers makes the lines for bash of what cobra's __complete printed. Readline puts an answer in place of what follows the
// open quote, or else the last of the word breaks.
func (l *shellLine) answers(printed, breaks string) string {
	var words, notes []string
	for line := range strings.Lines(printed) {
		line = strings.TrimSuffix(line, "\n")
		if n, err := strconv.Atoi(strings.TrimPrefix(line, ":")); err == nil && strings.HasPrefix(line, ":") {
			d := cobra.ShellCompDirective(n)
			if d&cobra.ShellCompDirectiveNoSpace != 0 {
				notes = append(notes, ":nospace")
			}
			if d&cobra.ShellCompDirectiveNoFileComp == 0 {
				notes = append(notes, ":files")
			}
			continue
		}
		if word, _, _ := strings.Cut(line, "\t"); word != "" {
			words = append(words, word)
		}
	}
	cut := 0
	for i := 0; l.quote == 0 && i < len(l.raw); i++ {
		if l.raw[i] == '\\' {
			i++
		} else if strings.IndexByte(breaks, l.raw[i]) >= 0 {
			cut = i + 1
		}
	}
	for i, w := range words { // cobra sees to it that each begins with what is typed
		if flag, _, ok := strings.Cut(l.last, "="); ok && strings.HasPrefix(flag, "-") && !strings.HasPrefix(w, "-") {
			w = flag + "=" + w // cobra answers with the value alone
		}
		if l.quote == 0 {
			w = escapeWord(w)
		}
		words[i] = w[min(cut, len(w)):]
	}
	// Readline would close the quote behind an answer that stands alone; behind a field its value is to come.
	if l.quote != 0 && len(words) == 1 && !endsFilter(words[0]) {
		words = append(words, words[0]+" …")
		words[0] += " "
	}
	return strings.Join(append(words, notes...), "\n")
}

// endsFilter reports whether a filter may end with text.
func endsFilter(text string) bool {
	_, err := filter.Parse(text, filter.Options{})
	return err == nil
}

// escapeWord puts a backslash before what a shell would take for its own.
func escapeWord(w string) string {
	var b strings.Builder
	for i := range len(w) {
		if strings.IndexByte(" \t'\"\\<>|&;(){}$`*?[]!#~", w[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(w[i])
	}
	return b.String()
}
