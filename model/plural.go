package model

import (
	"fmt"
	"strings"
)

// Plural writes n of a thing: "1 flow", "0 flows", "2 entries", "3 processes". thing is one of them: a noun, or words that end with
// one. Whatever says how many there are of something says it by Plural.
func Plural[N int | int64 | uint32 | uint64](n N, thing string) string {
	if n != 1 {
		switch last := thing[len(thing)-1]; {
		case last == 'y':
			thing = thing[:len(thing)-1] + "ies"
		case last == 's' || last == 'x' || strings.HasSuffix(thing, "ch"):
			thing += "es"
		default:
			thing += "s"
		}
	}
	return fmt.Sprint(n) + " " + thing
}
