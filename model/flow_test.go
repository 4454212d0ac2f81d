package model

import (
	"testing"
	"unsafe"
)

func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(Key{}); n != 42 {
		t.Errorf("Key is %d bytes; its doc says 42", n)
	}
	if n := unsafe.Sizeof(Flow{}); n != 168 {
		t.Errorf("Flow is %d bytes; its doc and the memory figure say 168", n)
	}
	if n := unsafe.Sizeof(Tuple{}); n != 38 {
		t.Errorf("Tuple is %d bytes; its doc says 38", n)
	}
}
