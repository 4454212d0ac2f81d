package ctcompat

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"ctview/ctnl"
	"ctview/ctnl/confine"
	"ctview/model/crash"
)

// The limits of a file of commands.
const (
	maxLineLength = 10239
	maxWords      = 253
	maxWordLength = 1023
)

// restore is -R: it reads a file of commands, all of it first, and carries them out in order. The first that fails ends
// it. "-" is standard input.
func (r *run) restore(name string) error {
	in := r.Stdin
	if name != "-" {
		var f *os.File
		err := confine.With(confine.DacReadSearch, func() (err error) {
			f, err = os.Open(name)
			return err
		})
		if err != nil {
			return usageErrorf("Failed to open file %s for reading", name)
		}
		defer f.Close()
		in = f
	}
	if in == nil {
		return usageErrorf("Failed to open file /dev/stdin for reading")
	}
	cmds, err := r.readCommands(in)
	if err != nil {
		return err
	}
	for _, c := range cmds {
		if name, refused := notInFile[c.op]; refused {
			return usageErrorf("Cannot use command `%s' with --load-file", name)
		}
	}
	var specs [ctnl.MaxWindow]ctnl.Spec
	for len(cmds) > 0 {
		if err := r.open(); err != nil {
			return err
		}
		n := 0
		for n < min(len(cmds), len(specs)) && (cmds[n].op == opCreate || cmds[n].op == opAdd) {
			n++
		}
		err := error(nil)
		if n > 1 {
			err = r.createMany(cmds[:n], specs[:0])
		} else {
			n = 1
			err = r.do(cmds[0])
		}
		if err != nil {
			return err
		}
		clear(cmds[:n]) // half of the memory is theirs
		cmds = cmds[n:]
	}
	return nil
}

// createMany is create of each of cmds, in one system call. The kernel goes on behind one that it refuses: what it made of the
// lines after that is taken back, as if it had never been asked. specs is memory for all of them.
func (r *run) createMany(cmds []*command, specs []ctnl.Spec) error {
	var failure error // of the first line that did not work
	for _, c := range cmds {
		specs = specs[:len(specs)+1]
		if err := c.spec(&specs[len(specs)-1]); err != nil {
			failure, specs = failed(c, err), specs[:len(specs)-1]
			break
		}
	}
	refused, err := r.kernel.CreateMany(r.ctx, len(specs), func(i int, s *ctnl.Spec) { *s = specs[i] })
	if err != nil {
		return failed(cmds[0], err)
	}
	first, made := len(specs), len(specs)-len(refused)
	for i, f := range refused {
		if cmds[f.Index].op == opAdd && errors.Is(f.Err, ctnl.ErrExists) {
			continue
		}
		failure, first, made = failed(cmds[f.Index], f.Err), f.Index, f.Index-i
		refused = refused[i:]
		break
	}
	r.shown += made
	for i := first; i < len(specs); i++ {
		if len(refused) > 0 && refused[0].Index == i {
			refused = refused[1:]
			continue
		}
		if err := r.kernel.Delete(r.ctx, specs[i].Flow.Key, 0); err != nil && !errors.Is(err, ctnl.ErrGone) {
			return errors.Join(failure, failed(cmds[i], err))
		}
	}
	return failure
}

// notInFile names the commands that a file may not have, as conntrack does.
var notInFile = map[opCode]string{
	opList: "-L", opGet: "-G", opEvent: "-E", opVersion: "-V", opHelp: "-h", expList: "-L expect", expCreate: "-C expect",
	expDelete: "-D expect", expGet: "-G expect", expFlush: "-F expect", expEvent: "-E expect", opCount: "-C",
	expCount: "-C expect", opStats: "-S", expStats: "-S expect", opNone: "unknown",
}

// readCommands parses beside the reading, the first buffer full of lines itself and each other by a goroutine of its own: half
// of the time of a long file is the parser's. The first line in error ends it, even while in has more to come.
func (r *run) readCommands(in io.Reader) ([]*command, error) {
	parts := make(chan *part, 16)
	stop := make(chan struct{})
	defer close(stop)
	parsers := &sync.Pool{New: func() any { return r.parser(nil) }}
	go r.readParts(in, parsers, parts, stop)
	var cmds []*command
	for p := range parts {
		if p.first {
			r.parsePart(p, parsers)
		}
		<-p.parsed
		fmt.Fprint(r.Stderr, p.warn.String())
		if p.err != nil {
			return nil, p.err
		}
		cmds = append(cmds, p.cmds...)
	}
	return cmds, nil
}

// A part is some lines of a file of commands. What stands below parsed is there once that is closed.
type part struct {
	first   bool
	lines   []string
	readErr error // that ended reading behind them

	parsed chan struct{}
	cmds   []*command
	warn   bytes.Buffer
	err    error // of the line behind cmds
}

// readParts cuts in into parts, sends them in order, and has them parsed. A part ends where a reader would have to wait.
func (r *run) readParts(in io.Reader, parsers *sync.Pool, parts chan<- *part, stop <-chan struct{}) {
	defer crash.Guard()
	defer close(parts)
	br := bufio.NewReaderSize(in, maxLineLength)
	p := &part{first: true, parsed: make(chan struct{})}
	for {
		line, err := br.ReadSlice('\n') // a longer line is cut in two, as fgets(3) does
		if text := strings.TrimLeft(string(line), " \t"); text != "" && text[0] != '\n' && text[0] != '#' {
			p.lines = append(p.lines, text)
		}
		if err == bufio.ErrBufferFull {
			err = nil
		}
		if err == nil && br.Buffered() > 0 {
			continue
		}
		if err != io.EOF {
			p.readErr = err
		}
		if !p.first {
			go r.parsePart(p, parsers)
		}
		select {
		case parts <- p:
		case <-stop:
			return
		}
		if err != nil {
			return
		}
		p = &part{parsed: make(chan struct{})}
	}
}

// parsePart parses the lines of p.
func (r *run) parsePart(p *part, parsers *sync.Pool) {
	defer crash.Guard()
	defer close(p.parsed)
	ps := parsers.Get().(*parser)
	defer parsers.Put(ps)
	ps.warn = &p.warn
	p.cmds = make([]*command, 0, len(p.lines))
	for _, line := range p.lines {
		words, err := splitWords(line)
		if err != nil {
			p.err = err
			return
		}
		c, err := ps.parse(append([]string{r.Program}, words...))
		if err != nil {
			p.err = err
			return
		}
		p.cmds = append(p.cmds, c)
	}
	if p.readErr != nil {
		p.err = failf("read: %s", errorText(p.readErr))
	}
}

// splitWords cuts a line at blanks. Quotes keep blanks in a word, and a backslash within quotes the character after it.
func splitWords(line string) ([]string, error) {
	if !strings.Contains(line, `"`) {
		return plainWords(line)
	}
	var out []string
	var word []byte
	quoted, escaped := false, false
	end := func() error {
		if len(out)+1 > maxWords {
			return usageErrorf("too many arguments")
		}
		out = append(out, string(word))
		word = word[:0]
		return nil
	}
	for i := range len(line) {
		c := line[i]
		switch {
		case quoted && escaped:
			escaped = false
			word = append(word, c)
		case quoted && c == '\\':
			escaped = true
		case quoted && c == '"':
			quoted = false
			if err := end(); err != nil { // a closing quote ends the word
				return nil, err
			}
		case quoted:
			word = append(word, c)
		case c == '"':
			quoted = true
		case c == ' ' || c == '\t' || c == '\n':
			if len(word) == 0 {
				continue
			}
			if err := end(); err != nil {
				return nil, err
			}
		default:
			word = append(word, c)
		}
		if len(word) > maxWordLength {
			return nil, usageErrorf("Parameter too long!")
		}
	}
	if len(word) > 0 {
		if err := end(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// plainWords is splitWords of a line without quotes: the words are parts of it.
func plainWords(line string) ([]string, error) {
	out := make([]string, 0, 40)
	for {
		line = strings.TrimLeft(line, " \t\n")
		if line == "" {
			return out, nil
		}
		end := strings.IndexAny(line, " \t\n")
		if end < 0 {
			end = len(line)
		}
		if end > maxWordLength {
			return nil, usageErrorf("Parameter too long!")
		}
		if len(out)+1 > maxWords {
			return nil, usageErrorf("too many arguments")
		}
		out = append(out, line[:end])
		line = line[end:]
	}
}
