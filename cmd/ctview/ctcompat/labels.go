package ctcompat

import (
	"errors"
	"os"
	"strings"

	"ctview/model"
	"ctview/model/format"
)

// connlabelConf is where the names of connection labels are kept (libnetfilter_conntrack's CONNLABEL_CFG).
const connlabelConf = "/etc/xtables/connlabel.conf"

// maxLabelBit is the highest bit that connlabel.conf may name; the kernel keeps fewer.
const maxLabelBit = 1023

// errNoLabels says that the file names no label.
var errNoLabels = errors.New("Success") // what perror(3) makes of errno 0, as conntrack prints it

// readLabels reads connlabel.conf.
func readLabels(path string) (format.LabelNames, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	names := format.ParseLabels(string(text))
	if names == nil {
		return nil, errNoLabels
	}
	return names, nil
}

// A labelSet is a set of label bits; words is how many 32-bit words it takes to hold the highest, 0 for no set at all.
type labelSet struct {
	bits  [maxLabelBit/32 + 1]uint32
	words int
}

func (s *labelSet) add(bit int) {
	s.bits[bit/32] |= 1 << (bit % 32)
	s.words = max(s.words, bit/32+1)
}

// within reports whether all bits of s are in l.
func (s *labelSet) within(l *model.Labels) bool {
	have := labelWords(l)
	for i, w := range s.bits[:s.words] {
		if i < len(have) {
			w &^= have[i]
		}
		if w != 0 {
			return false
		}
	}
	return true
}

// parse adds the comma-separated names or numbers in list.
func (s *labelSet) parse(names format.LabelNames, list string) error {
	for name := range strings.SplitSeq(list, ",") {
		bit, ok := names.Bit(name)
		if n, rest, isNumber := cutNumber(name); !ok && isNumber && rest == "" && n <= maxLabelBit {
			bit, ok = int(n), true
		}
		if !ok {
			return usageErrorf("unknown label '%s'", name)
		}
		s.add(bit)
	}
	return nil
}
