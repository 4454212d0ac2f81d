package format

import "strings"

// A LabelNames names connection labels: the name at index n is that of bit n, "" where it has none. nil is no map.
// It is read only once made.
type LabelNames []string

// maxLabelName is one more than the highest bit that connlabel.conf may name, though the kernel has only
// model.LabelBits.
const maxLabelName = 1024

// ParseLabels reads the text of connlabel.conf as libnetfilter_conntrack does: lines of a bit number and a name,
// '#' begins a comment line, names of letters, digits, blanks and '-' only, the first of two lines for one bit or one
// name counts, what is wrong is passed over. It returns nil where no line names a label, and allocates.
func ParseLabels(text string) LabelNames {
	var names LabelNames
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		bit, rest, ok := parseBit(line)
		name := strings.Trim(rest, " \f\r\t\v\n")
		if !ok || name == "" || !saneLabel(name) || seen[name] || bit < len(names) && names[bit] != "" {
			continue
		}
		for bit >= len(names) {
			names = append(names, "")
		}
		names[bit], seen[name] = name, true
	}
	return names
}

// parseBit reads a number as strtoul(…, 0) does, decimal, 0x… or 0…, and returns what follows it.
func parseBit(s string) (bit int, rest string, ok bool) {
	s = strings.TrimLeft(s, " \f\r\t\v\n")
	s = strings.TrimPrefix(s, "+")
	base := 10
	switch {
	case len(s) > 2 && (s[:2] == "0x" || s[:2] == "0X") && digit(s[2]) < 16:
		base, s = 16, s[2:]
	case len(s) > 1 && s[0] == '0':
		base = 8
	}
	i := 0
	for ; i < len(s) && digit(s[i]) < base; i++ {
		if bit = bit*base + digit(s[i]); bit >= maxLabelName {
			return 0, "", false
		}
	}
	return bit, s[i:], i > 0
}

// digit returns the value of c as a digit of bases up to 16, 99 if it is none.
func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return 99
}

func saneLabel(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == ' ' || c == '-') {
			return false
		}
	}
	return true
}

// Name returns the name of a bit, "" where it has none.
func (n LabelNames) Name(bit int) string {
	if bit < 0 || bit >= len(n) {
		return ""
	}
	return n[bit]
}

// Bit returns the bit that is called name. A linear search: for the command line, not for flows.
func (n LabelNames) Bit(name string) (bit int, ok bool) {
	if name == "" {
		return 0, false
	}
	for i, s := range n {
		if s == name {
			return i, true
		}
	}
	return 0, false
}
