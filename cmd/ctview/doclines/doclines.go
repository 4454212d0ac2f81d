// Package doclines finds the command lines that a Markdown text shows, for the tests that run every one of them.
//
// A command line is each line of a fenced block marked sh, and elsewhere (in blocks of screens, in indented blocks, in
// code spans of running text) what begins with the name of a program and says more than that name. Where lines of a
// block begin with "$ ", those are the command lines and the rest is what they print.
//
// It is for tests and is not shipped.
package doclines

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// A Line is a command line as the text has it.
type Line struct {
	Place   string // of the first, "README.md:52"
	Text    string // without prompt and comment, on one line
	Comment string // what stands behind "#" on the same line
}

// programs are the words that make the rest of a span or line a command line, outside of sh blocks.
var programs = regexp.MustCompile(`^(ctview|ctview-exporter|sudo|make|go|nft|sysctl|systemctl|modprobe|setcap|chgrp|apt|apt-get|rpm|dnf|apk|opkg|ip|ssh|scp) `)

var span = regexp.MustCompile("``[^`]+(?:`[^`]+)*``|`[^`]+`")

// Read returns the command lines of Markdown files.
func Read(files ...string) (all []Line, err error) {
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		all = append(all, Parse(strings.TrimPrefix(file, "../../"), string(b))...)
	}
	return all, nil
}

// Parse returns the command lines of a text; name is for their places.
func Parse(name, text string) []Line {
	p := parser{name: name}
	for i, line := range strings.Split(text, "\n") {
		p.number = i + 1
		trimmed := strings.TrimSpace(line)
		switch info, fence := strings.CutPrefix(trimmed, "```"); {
		case fence && !p.fenced && !strings.Contains(info, "`"):
			p.paragraph()
			p.fenced, p.shell = true, info == "sh"
		case fence && p.fenced:
			p.block()
			p.fenced, p.shell = false, false
		case p.fenced, strings.HasPrefix(line, "    ") && len(p.prose) == 0:
			p.code = append(p.code, numbered{p.number, trimmed})
		case trimmed == "", strings.HasPrefix(trimmed, "|"): // a table's row is a paragraph of its own
			p.block()
			p.paragraph()
			p.prose = append(p.prose, numbered{p.number, trimmed})
			p.paragraph()
		default:
			p.block()
			p.prose = append(p.prose, numbered{p.number, trimmed})
		}
	}
	p.block()
	p.paragraph()
	return p.found
}

type numbered struct {
	number int
	text   string
}

type parser struct {
	name          string
	number        int
	fenced, shell bool
	code, prose   []numbered // of the block, of the paragraph that is being read
	found         []Line
}

func (p *parser) add(number int, text string) {
	text, comment, _ := strings.Cut(text, "  #")
	if rest, whole := strings.CutPrefix(text, "#"); whole {
		text, comment = "", rest
	}
	if text = strings.TrimSpace(text); text != "" {
		p.found = append(p.found, Line{fmt.Sprintf("%s:%d", p.name, number), text, strings.TrimSpace(comment)})
	}
}

// block ends a block of code.
func (p *parser) block() {
	prompts, joined := false, ""
	for _, l := range p.code {
		prompts = prompts || strings.HasPrefix(l.text, "$ ")
	}
	for _, l := range p.code {
		text, prompt := strings.CutPrefix(joined+l.text, "$ ")
		if rest, more := strings.CutSuffix(text, `\`); more {
			joined = rest
			if prompt {
				joined = "$ " + rest
			}
			continue
		}
		joined = ""
		if prompt || !prompts && (p.shell || programs.MatchString(text)) {
			p.add(l.number, text)
		}
	}
	p.code = nil
}

// paragraph ends a paragraph, in which a span may go on in the next line.
func (p *parser) paragraph() {
	var all strings.Builder
	var starts []int
	for _, l := range p.prose {
		starts = append(starts, all.Len())
		all.WriteString(l.text + " ")
	}
	for _, at := range span.FindAllStringIndex(all.String(), -1) {
		text := strings.TrimSpace(strings.Trim(all.String()[at[0]:at[1]], "`"))
		text = strings.ReplaceAll(text, `\|`, "|") // as a table needs it
		text = strings.TrimPrefix(text, "$ ")
		line := 0
		for line+1 < len(starts) && starts[line+1] <= at[0] {
			line++
		}
		if programs.MatchString(text) {
			p.add(p.prose[line].number, text)
		}
	}
	p.prose = nil
}
