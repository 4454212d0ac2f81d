package ctcompat

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"ctview/model"
)

// statusWords are the words of -u, in the order in which a prefix is looked for.
var statusWords = []struct {
	name string
	bits model.Status
}{
	{"ASSURED", model.StatusAssured}, {"SEEN_REPLY", model.StatusSeenReply}, {"UNSET", 0},
	{"FIXED_TIMEOUT", model.StatusFixedTimeout}, {"EXPECTED", model.StatusExpected}, {"OFFLOAD", model.StatusOffload},
	{"HW_OFFLOAD", model.StatusHWOffload},
}

// eventWords are those of -e.
var eventWords = []struct {
	name string
	mask eventMask
}{{"ALL", eventAll}, {"NEW", eventNew}, {"UPDATES", eventUpdate}, {"DESTROY", eventDestroy}}

// hasPrefixFold reports whether word abbreviates name, whatever the case.
func hasPrefixFold(name, word string) bool {
	return len(word) <= len(name) && strings.EqualFold(name[:len(word)], word)
}

// natWord returns the name that conntrack takes word for before it looks at any list: SRC_NAT, DST_NAT or "".
func natWord(word string) string {
	for _, name := range []string{"SRC_NAT", "DST_NAT"} {
		if hasPrefixFold(name, word) {
			return name
		}
	}
	return ""
}

// words calls fn for each word of a comma-separated list. The error names what is left of the list from the word that
// was refused.
func words(list string, fn func(word string) bool) error {
	for rest := list; ; {
		word, tail, more := strings.Cut(rest, ",")
		if word == "" || !fn(word) {
			return usageErrorf("Bad parameter `%s'", rest)
		}
		if !more {
			return nil
		}
		rest = tail
	}
}

// status takes -u: words, !words and UNREPLIED, all of which must hold.
func (p *parser) status(arg string) error {
	t := &p.cmd.t
	for rest := arg; ; {
		word, tail, more := strings.Cut(rest, ",")
		bad := rest
		negated := strings.HasPrefix(word, "!")
		if negated {
			word, bad = word[1:], rest[1:]
		}
		switch {
		case word == "":
			return usageErrorf("Bad parameter `%s'", bad)
		case !negated && strings.HasPrefix(rest, "UNREPLIED"):
			t.statusClear |= model.StatusSeenReply
		default:
			bits, ok := p.statusBits(word)
			if !ok {
				return usageErrorf("Bad parameter `%s'", bad)
			}
			if negated {
				t.statusClear |= bits
			} else {
				t.status |= bits
			}
		}
		if !more {
			return nil
		}
		rest = tail
	}
}

func (p *parser) statusBits(word string) (model.Status, bool) {
	if name := natWord(word); name != "" {
		fmt.Fprintf(p.warn, "WARNING: ignoring %s, use --%s-nat instead\n", name, strings.ToLower(name[:3]))
		return 0, true
	}
	for _, w := range statusWords {
		if hasPrefixFold(w.name, word) {
			return w.bits, true
		}
	}
	return 0, false
}

// events takes -e. conntrack takes D and S for DST_NAT and SRC_NAT, warns, and listens to nothing.
func (p *parser) events(arg string) error {
	return words(arg, func(word string) bool {
		for _, w := range eventWords {
			if hasPrefixFold(w.name, word) {
				p.cmd.events |= w.mask
				return true
			}
		}
		return false
	})
}

// output takes -o. A word that conntrack takes for SRC_NAT or DST_NAT (s, d, src…) is an error; there it is dropped
// with a warning, so that `-o s` is not save.
func (p *parser) output(arg string) error {
	o := &p.cmd.out
	list := []struct {
		name string
		flag *bool
	}{{"xml", &o.xml}, {"extended", &o.extended}, {"timestamp", &o.timestamp}, {"id", &o.id}, {"ktimestamp", &o.ktimestamp},
		{"labels", &o.labels}, {"userspace", nil}, {"save", &o.save}}
	err := words(arg, func(word string) bool {
		if natWord(word) != "" {
			return false
		}
		for _, w := range list {
			if hasPrefixFold(w.name, word) {
				if w.flag != nil {
					*w.flag = true
				}
				return true
			}
		}
		return false
	})
	if err != nil {
		return err
	}
	if o.labels {
		p.loadLabels()
	}
	if o.save && (o.extended || o.timestamp || o.id || o.ktimestamp || o.labels || o.xml) {
		return failf("cannot combine save output with any other output type, use -o save only")
	}
	return nil
}

// loadLabels reads connlabel.conf once; that it cannot be read is told each time, as conntrack does.
func (p *parser) loadLabels() {
	if p.cmd.labels != nil {
		return
	}
	m, err := readLabels(p.labels)
	if err != nil {
		fmt.Fprintf(p.warn, "nfct_labelmap_new: %s\n", errorText(err))
		return
	}
	p.cmd.labels = m
}

// errorText returns what perror(3) says of err.
func errorText(err error) string {
	var errno syscall.Errno
	var path *fs.PathError
	switch {
	case errors.As(err, &errno):
		return errnoText(errno)
	case errors.As(err, &path):
		return path.Err.Error()
	}
	return err.Error()
}

// labelNumbers reports whether list is of numbers alone: those need no names. conntrack knows no numbers; -o save
// writes them for labels without a name.
func labelNumbers(list string) bool {
	for word := range strings.SplitSeq(list, ",") {
		if _, rest, ok := cutNumber(word); !ok || rest != "" {
			return false
		}
	}
	return true
}

// label takes -l, --label-add and --label-del.
func (p *parser) label(letter int) error {
	c, t := p.cmd, &p.cmd.t
	switch letter {
	case 'l':
		c.opts |= optLabel
	case '<':
		c.opts |= optLabelAdd
	case '>':
		c.opts |= optLabelDel
	}
	if !labelNumbers(p.g.value) {
		p.loadLabels()
	}
	if c.opts.has(optLabelAdd) && c.opts.has(optLabelDel) {
		return failf("cannot use --label-add and --label-del at the same time")
	}
	arg := p.g.value
	if letter == '>' {
		var ok bool
		if arg, ok = p.optionalWord(); !ok {
			t.delLabels = true
			return nil
		}
	}
	if letter == 'l' {
		return t.label.parse(c.labels, arg)
	}
	return t.labelMod.parse(c.labels, arg)
}
