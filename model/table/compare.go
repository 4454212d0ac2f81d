package table

import (
	"encoding/binary"

	"ctview/model"
)

// AppendSortKey appends what View sorts a flow by, 1 to 24 bytes and more for names, for flows that are not in a table:
// bytes.Compare of the keys puts the rows of a dump in order. x may be nil. A flow without a value comes last, whichever
// way the others are sorted; unlike in a table, an age is only known where the kernel told the start.
func AppendSortKey(dst []byte, c model.Column, desc bool, f *model.Flow, x *model.Extra) []byte {
	from := len(dst)
	switch c {
	case model.ColHelper:
		dst = append(append(dst, f.Helper.String()...), 0)
	case model.ColPID, model.ColProc, model.ColUser, model.ColCgroup:
		return appendOwnerSortKey(dst, c, desc, x)
	case model.ColIif, model.ColOif:
		return appendRouteSortKey(dst, c, desc, x)
	case model.ColSecctx, model.ColLabels, model.ColMaster:
		dst = appendExtraKey(dst, c, x)
	case model.ColAge, model.ColStart:
		if f.Known&model.KnownStart == 0 {
			return append(dst, 0xff)
		}
		return appendKeys(dst, c, desc, f)
	default:
		return appendKeys(dst, c, desc, f)
	}
	if desc {
		for i := from; i < len(dst); i++ {
			dst[i] = ^dst[i]
		}
	}
	return dst
}

func appendKeys(dst []byte, c model.Column, desc bool, f *model.Flow) []byte {
	if c >= model.NumColumns {
		return dst
	}
	o := sorter{desc: desc}
	for _, key := range columnKeys[c] {
		dst = binary.BigEndian.AppendUint64(dst, o.turn(key(f, 0)))
	}
	return dst
}

func appendExtraKey(dst []byte, c model.Column, x *model.Extra) []byte {
	if x == nil {
		x = &model.Extra{}
	}
	switch c {
	case model.ColSecctx:
		return append(append(dst, x.Secctx...), 0)
	case model.ColLabels:
		return append(dst, x.Labels[:]...)
	}
	dst = append(append(dst, byte(x.Master.Family)), x.Master.Src[:]...)
	return binary.BigEndian.AppendUint16(dst, x.Master.Sport)
}
