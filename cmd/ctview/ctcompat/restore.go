package ctcompat

import (
	"bufio"
	"io"
	"os"
	"strings"

	"ctview/ctnl/confine"
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
	for _, c := range cmds {
		if err := r.open(); err != nil {
			return err
		}
		if err := r.do(c); err != nil {
			return err
		}
	}
	return nil
}

// notInFile names the commands that a file may not have, as conntrack does.
var notInFile = map[opCode]string{
	opList: "-L", opGet: "-G", opEvent: "-E", opVersion: "-V", opHelp: "-h", expList: "-L expect", expCreate: "-C expect",
	expDelete: "-D expect", expGet: "-G expect", expFlush: "-F expect", expEvent: "-E expect", opCount: "-C",
	expCount: "-C expect", opStats: "-S", expStats: "-S expect", opNone: "unknown",
}

func (r *run) readCommands(in io.Reader) ([]*command, error) {
	var cmds []*command
	br := bufio.NewReaderSize(in, maxLineLength)
	for {
		line, err := br.ReadSlice('\n') // a longer line is cut in two, as fgets(3) does
		text := strings.TrimLeft(string(line), " \t")
		if text != "" && text[0] != '\n' && text[0] != '#' {
			words, werr := splitWords(text)
			if werr != nil {
				return nil, werr
			}
			c, perr := r.parse(words)
			if perr != nil {
				return nil, perr
			}
			cmds = append(cmds, c)
		}
		switch err {
		case nil, bufio.ErrBufferFull:
		case io.EOF:
			return cmds, nil
		default:
			return nil, failf("read: %s", errorText(err))
		}
	}
}

// splitWords cuts a line at blanks. Quotes keep blanks in a word, and a backslash within quotes the character after it.
func splitWords(line string) ([]string, error) {
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
