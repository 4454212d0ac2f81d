package table

import (
	"math/bits"
	"reflect"
	"testing"
	"unsafe"

	"ctview/model"
)

// TestPointerFree holds what there are many of to their size, and to having nothing for the collector to look at: with
// a pointer in each of a million flows a cycle would cost 265 ms instead of under one.
func TestPointerFree(t *testing.T) {
	for _, tt := range []struct {
		v    any
		size uintptr
		want uintptr
	}{
		{model.Flow{}, unsafe.Sizeof(model.Flow{}), 168},
		{row{}, unsafe.Sizeof(row{}), 136},
		{item{}, unsafe.Sizeof(item{}), 12},
		{groupAcc{}, unsafe.Sizeof(groupAcc{}), 64},
		{extraRow{}, unsafe.Sizeof(extraRow{}), 58},
		{grave{}, unsafe.Sizeof(grave{}), 24},
		{Change{}, unsafe.Sizeof(Change{}), 256},
		{past{}, unsafe.Sizeof(past{}), 24},
		{Second{}, unsafe.Sizeof(Second{}), 40},
		{waiting{}, unsafe.Sizeof(waiting{}), 240},
		{telling{}, unsafe.Sizeof(telling{}), 56},
		{end{}, unsafe.Sizeof(end{}), 184},
	} {
		typ := reflect.TypeOf(tt.v)
		if smaller := bits.UintSize == 32 && tt.size < tt.want; tt.size != tt.want && !smaller {
			t.Errorf("%v is %d bytes, want %d", typ, tt.size, tt.want)
		}
		if hasPointers(typ) {
			t.Errorf("%v has pointers", typ)
		}
	}
}

func hasPointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return hasPointers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if hasPointers(t.Field(i).Type) {
				return true
			}
		}
		return false
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.String, reflect.Interface, reflect.Chan, reflect.Func,
		reflect.UnsafePointer:
		return true
	}
	return false
}
