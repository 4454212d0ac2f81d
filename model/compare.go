package model

import (
	"bytes"
	"cmp"
	"strings"
)

// CompareFlows compares two flows by a column as View sorts them, but for rows that are not in a table: it is what
// sorting the rows of a dump needs. xa and xb may be nil. A flow without a value comes last, whichever way the others
// are sorted; unlike in a table, an age is only known where the kernel told the start.
func CompareFlows(c Column, desc bool, a, b *Flow, xa, xb *Extra) int {
	d := 0
	switch c {
	case ColHelper:
		d = strings.Compare(a.Helper.String(), b.Helper.String())
	case ColSecctx, ColLabels, ColMaster:
		d = compareExtra(c, xa, xb)
	case ColAge, ColStart:
		if ka, kb := a.Known&KnownStart, b.Known&KnownStart; ka&kb == 0 {
			return cmp.Compare(kb, ka)
		}
		d = compareKeys(c, a, b)
	default:
		if c >= NumColumns {
			return 0
		}
		ka, kb := noValue(c, a), noValue(c, b)
		if ka || kb {
			return cmp.Compare(rank(ka), rank(kb))
		}
		d = compareKeys(c, a, b)
	}
	if desc {
		return -d
	}
	return d
}

// noValue reports whether f has nothing to sort by.
func noValue(c Column, f *Flow) bool {
	keys := columnKeys[c]
	return len(keys) > 0 && keys[0](f, 0) == noKey
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func compareKeys(c Column, a, b *Flow) int {
	for _, key := range columnKeys[c] {
		if d := cmp.Compare(key(a, 0), key(b, 0)); d != 0 {
			return d
		}
	}
	return 0
}

func compareExtra(c Column, a, b *Extra) int {
	var none Extra
	if a == nil {
		a = &none
	}
	if b == nil {
		b = &none
	}
	switch c {
	case ColSecctx:
		return strings.Compare(a.Secctx, b.Secctx)
	case ColLabels:
		return bytes.Compare(a.Labels[:], b.Labels[:])
	}
	return cmp.Or(cmp.Compare(a.Master.Family, b.Master.Family), bytes.Compare(a.Master.Src[:], b.Master.Src[:]),
		cmp.Compare(a.Master.Sport, b.Master.Sport))
}
