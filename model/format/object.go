package format

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// AppendJSONLine appends v as AppendJSONValue does, and a line end.
func AppendJSONLine(dst []byte, v any) []byte { return append(AppendJSONValue(dst, v), '\n') }

// AppendJSONValue appends v as encoding/json writes it, by the same tags (each field has one), but for texts, which are AppendJSONString's, and
// for a nil slice, which is empty. It is not encoding/json because that is 0.2 MB of a router's flash. It knows what the objects
// of ctview are made of (booleans, finite numbers, texts, TextMarshalers that do not fail, slices, structs, pointers to these,
// map[string]string) and panics at anything else, which is a fault of the program.
func AppendJSONValue(dst []byte, v any) []byte { return appendReflected(dst, reflect.ValueOf(v)) }

func appendReflected(dst []byte, v reflect.Value) []byte {
	switch x := v.Interface().(type) {
	case encoding.TextMarshaler:
		text, _ := x.MarshalText()
		return AppendJSONString(dst, string(text))
	case map[string]string:
		dst = append(dst, '{')
		for i, name := range slices.Sorted(maps.Keys(x)) {
			dst = append(AppendJSONString(comma(dst, i), name), ':')
			dst = AppendJSONString(dst, x[name])
		}
		return append(dst, '}')
	}
	switch v.Kind() {
	case reflect.Bool:
		return strconv.AppendBool(dst, v.Bool())
	case reflect.Int, reflect.Int64:
		return strconv.AppendInt(dst, v.Int(), 10)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(dst, v.Uint(), 10)
	case reflect.Float64:
		return strconv.AppendFloat(dst, v.Float(), 'f', -1, 64)
	case reflect.String:
		return AppendJSONString(dst, v.String())
	case reflect.Pointer:
		return appendReflected(dst, v.Elem())
	case reflect.Slice:
		dst = append(dst, '[')
		for i := range v.Len() {
			dst = appendReflected(comma(dst, i), v.Index(i))
		}
		return append(dst, ']')
	case reflect.Struct:
		return appendReflectedStruct(dst, v)
	}
	panic(fmt.Sprintf("format: JSON of %s", v.Type()))
}

func appendReflectedStruct(dst []byte, v reflect.Value) []byte {
	dst = append(dst, '{')
	n := 0
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if f := v.Field(i); name != "-" && (options != "omitempty" || !empty(f)) {
			dst = append(AppendJSONString(comma(dst, n), name), ':')
			dst = appendReflected(dst, f)
			n++
		}
	}
	return append(dst, '}')
}

// empty reports whether omitempty leaves a value out.
func empty(v reflect.Value) bool {
	if v.Kind() == reflect.Slice || v.Kind() == reflect.Map {
		return v.Len() == 0
	}
	return v.IsZero()
}

// comma appends what stands before the element with index i.
func comma(dst []byte, i int) []byte {
	if i > 0 {
		dst = append(dst, ',')
	}
	return dst
}
