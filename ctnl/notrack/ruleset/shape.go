package ruleset

import (
	"cmp"

	"golang.org/x/sys/unix"

	"ctview/ctnl"
)

// A shape says which attributes of a message hold attributes themselves, and what those hold. anyAttr stands for all.
type shape map[uint16]shape

const anyAttr = 0xffff

var (
	exprShape = shape{unix.NFTA_EXPR_DATA: {}}
	elemShape = shape{unix.NFTA_SET_ELEM_KEY: {}, nftaSetElemKeyEnd: {}, unix.NFTA_SET_ELEM_DATA: {},
		unix.NFTA_SET_ELEM_EXPR: exprShape, nftaSetElemExpressions: {anyAttr: exprShape}}

	// shapes are those of the answers that are read, by NFT_MSG_NEW*; of others only the first level is looked at.
	shapes = map[uint8]shape{
		unix.NFT_MSG_NEWCHAIN:   {unix.NFTA_CHAIN_HOOK: {}},
		unix.NFT_MSG_NEWRULE:    {unix.NFTA_RULE_EXPRESSIONS: {anyAttr: exprShape}},
		unix.NFT_MSG_NEWSET:     {unix.NFTA_SET_DESC: {nftaSetDescConcat: {anyAttr: {}}}},
		unix.NFT_MSG_NEWSETELEM: {unix.NFTA_SET_ELEM_LIST_ELEMENTS: {anyAttr: elemShape}},
	}
)

// whole reports the first attribute of b whose length cannot be, as ctnl.ErrMalformed. Readers of attributes stop there: a
// firewall of which half was read would be judged by that half.
func (s shape) whole(b []byte) error {
	var within error
	err := ctnl.EachAttr(b, func(typ uint16, v []byte) {
		inner, nest := s[typ]
		if !nest {
			inner, nest = s[anyAttr]
		}
		if nest && within == nil {
			within = inner.whole(v)
		}
	})
	return cmp.Or(within, err)
}
