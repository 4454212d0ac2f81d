package table

import (
	"bytes"
	"cmp"
	"strings"

	"ctview/model"
)

// CompareFlows compares two flows by a column as View sorts them, but for rows that are not in a table: it is what
// sorting the rows of a dump needs. xa and xb may be nil. A flow without a value comes last, whichever way the others
// are sorted; unlike in a table, an age is only known where the kernel told the start.
func CompareFlows(c model.Column, desc bool, a, b *model.Flow, xa, xb *model.Extra) int {
	d := 0
	switch c {
	case model.ColHelper:
		d = strings.Compare(a.Helper.String(), b.Helper.String())
	case model.ColSecctx, model.ColLabels, model.ColMaster:
		d = compareExtra(c, xa, xb)
	case model.ColAge, model.ColStart:
		if ka, kb := a.Known&model.KnownStart, b.Known&model.KnownStart; ka&kb == 0 {
			return cmp.Compare(kb, ka)
		}
		d = compareKeys(c, a, b)
	default:
		if c >= model.NumColumns {
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
func noValue(c model.Column, f *model.Flow) bool {
	keys := columnKeys[c]
	return len(keys) > 0 && keys[0](f, 0) == noKey
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func compareKeys(c model.Column, a, b *model.Flow) int {
	for _, key := range columnKeys[c] {
		if d := cmp.Compare(key(a, 0), key(b, 0)); d != 0 {
			return d
		}
	}
	return 0
}

func compareExtra(c model.Column, a, b *model.Extra) int {
	var none model.Extra
	if a == nil {
		a = &none
	}
	if b == nil {
		b = &none
	}
	switch c {
	case model.ColSecctx:
		return strings.Compare(a.Secctx, b.Secctx)
	case model.ColLabels:
		return bytes.Compare(a.Labels[:], b.Labels[:])
	}
	return cmp.Or(cmp.Compare(a.Master.Family, b.Master.Family), bytes.Compare(a.Master.Src[:], b.Master.Src[:]),
		cmp.Compare(a.Master.Sport, b.Master.Sport))
}
