package model

import "encoding/binary"

// LabelBits is how many labels a flow can have (XT_CONNLABEL_MAXBIT + 1).
const LabelBits = 128

// Bit reports whether label i is set. i is below LabelBits.
func (l *Labels) Bit(i int) bool {
	return binary.NativeEndian.Uint32(l[i/32*4:])&(1<<(i%32)) != 0
}

// Set sets label i. i is below LabelBits.
func (l *Labels) Set(i int) {
	w := l[i/32*4:]
	binary.NativeEndian.PutUint32(w, binary.NativeEndian.Uint32(w)|1<<(i%32))
}

// Next returns the first label at or after i that is set, LabelBits if there is none.
func (l *Labels) Next(i int) int {
	for ; i < LabelBits; i++ {
		if l.Bit(i) {
			break
		}
	}
	return i
}
