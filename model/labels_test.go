package model

import "testing"

func TestLabels(t *testing.T) {
	var l Labels
	if n := l.Next(0); n != LabelBits {
		t.Errorf("first label of none is %d", n)
	}
	for _, bit := range []int{0, 7, 31, 32, 64, 127} {
		l.Set(bit)
	}
	var got []int
	for i := l.Next(0); i < LabelBits; i = l.Next(i + 1) {
		got = append(got, i)
	}
	if len(got) != 6 || got[1] != 7 || got[3] != 32 || got[5] != 127 {
		t.Errorf("set bits are %v", got)
	}
	if l.Bit(1) || l.Bit(126) {
		t.Error("bits nobody set are set")
	}
}
