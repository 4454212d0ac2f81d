package ruleset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// A Ruleset is the namespace's nftables rules as the kernel tells them: one consistent generation.
type Ruleset struct {
	Gen    uint32 // NFTA_GEN_ID: no change since has another
	Tables []Table
	Chains []Chain
	Sets   map[SetName]*Set
}

// A Table is NFT_MSG_NEWTABLE.
type Table struct {
	Family uint8
	Name   string
	Flags  uint32 // NFT_TABLE_F_*
	owner  uint32 // port ID of the owning socket (NFTA_TABLE_OWNER)
	udata  []byte
}

// A Chain is NFT_MSG_NEWCHAIN with its rules in order.
type Chain struct {
	Family      uint8
	Table, Name string
	Base        bool
	Type        string // filter, nat, route
	Hook        uint32 // NF_INET_*
	Prio        int32
	Policy      uint32 // NF_ACCEPT or NF_DROP, base chains only
	Rules       []Rule
}

// A Rule is NFT_MSG_NEWRULE. Comment is what nft shows as such, unescaped.
type Rule struct {
	Family       uint8
	Table, Chain string
	Handle       uint64
	Exprs        []Expr
	Comment      string
}

// An Expr is one expression with its undecoded attributes.
type Expr struct {
	Name string
	Data []byte
}

// A SetName names a set or map: its family (NFPROTO_*), table and name.
type SetName struct {
	Family      uint8
	Table, Name string
}

// A Set is NFT_MSG_NEWSET: a set or a map.
type Set struct {
	SetName
	Flags   uint32 // NFT_SET_*
	keyType uint32
	KeyLen  uint32
	Concat  []uint32 // lengths of the fields of a concatenated key
	Elems   []Elem
	Read    bool   // elems were read
	objType uint32 // NFT_OBJECT_* of a map of objects
}

// An Elem is an element of a set. Keys are as the kernel keeps them: fields padded to four bytes.
type Elem struct {
	Key, KeyEnd    []byte
	End            bool // NFT_SET_ELEM_INTERVAL_END
	Catchall       bool
	Timeout, Left  time.Duration
	HasTimeout     bool
	Packets, Bytes uint64
	hasCounter     bool
	Comment        string
	Verdict        *Verdict
	Data           []byte
}

// A Verdict is NFTA_DATA_VERDICT.
type Verdict struct {
	Code  int32 // NF_* or NFT_* (negative)
	Chain string
}

// Read reads everything but the elements of sets, which readSet gets when they are asked for.
func (c *Reader) Read() (*Ruleset, error) {
	for range 30 {
		before, err := c.Generation()
		if err != nil {
			return nil, Wrap("read ruleset", err)
		}
		rs, err := c.readOnce()
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, Wrap("read ruleset", err)
		}
		if after, err := c.Generation(); err == nil && after == before {
			rs.Gen = before
			return rs, nil
		}
	}
	return nil, fmt.Errorf("notrack: read ruleset: it changes faster than it can be read")
}

func (c *Reader) readOnce() (*Ruleset, error) {
	rs := &Ruleset{Sets: map[SetName]*Set{}}
	ms, err := c.Dump(unix.NFT_MSG_GETTABLE)
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		rs.Tables = append(rs.Tables, parseTable(m.Data))
	}
	if ms, err = c.Dump(unix.NFT_MSG_GETCHAIN); err != nil {
		return nil, err
	}
	type chainKey struct {
		f    uint8
		t, c string
	}
	at := map[chainKey]int{}
	for _, m := range ms {
		ch := parseChain(m.Data)
		at[chainKey{ch.Family, ch.Table, ch.Name}] = len(rs.Chains)
		rs.Chains = append(rs.Chains, ch)
	}
	if ms, err = c.Dump(unix.NFT_MSG_GETSET); err != nil {
		return nil, err
	}
	for _, m := range ms {
		s := ParseSet(m.Data)
		rs.Sets[s.SetName] = s
	}
	if ms, err = c.Dump(unix.NFT_MSG_GETRULE); err != nil {
		return nil, err
	}
	for _, m := range ms {
		r := ParseRule(m.Data)
		if i, ok := at[chainKey{r.Family, r.Table, r.Chain}]; ok {
			rs.Chains[i].Rules = append(rs.Chains[i].Rules, r)
		}
	}
	return rs, nil
}

func parseTable(b []byte) Table {
	t := Table{Family: b[0]}
	eachAttr(b[4:], func(typ uint16, v []byte) {
		switch typ {
		case unix.NFTA_TABLE_NAME:
			t.Name = CString(v)
		case unix.NFTA_TABLE_FLAGS:
			t.Flags = U32(v)
		case nftaTableOwner:
			t.owner = U32(v)
		case nftaTableUserdata:
			t.udata = slices.Clone(v)
		}
	})
	return t
}

func parseChain(b []byte) Chain {
	c := Chain{Family: b[0], Policy: VerdictAccept}
	eachAttr(b[4:], func(typ uint16, v []byte) {
		switch typ {
		case unix.NFTA_CHAIN_TABLE:
			c.Table = CString(v)
		case unix.NFTA_CHAIN_NAME:
			c.Name = CString(v)
		case unix.NFTA_CHAIN_TYPE:
			c.Type = CString(v)
		case unix.NFTA_CHAIN_POLICY:
			c.Policy = U32(v)
		case unix.NFTA_CHAIN_HOOK:
			c.Base = true
			c.Hook = U32(Attr(v, unix.NFTA_HOOK_HOOKNUM))
			c.Prio = int32(U32(Attr(v, unix.NFTA_HOOK_PRIORITY)))
		}
	})
	return c
}

// ParseRule reads one answer to NFT_MSG_GETRULE, at least 4 bytes; what it keeps is part of b.
func ParseRule(b []byte) Rule {
	r := Rule{Family: b[0]}
	eachAttr(b[4:], func(typ uint16, v []byte) {
		switch typ {
		case unix.NFTA_RULE_TABLE:
			r.Table = CString(v)
		case unix.NFTA_RULE_CHAIN:
			r.Chain = CString(v)
		case unix.NFTA_RULE_HANDLE:
			r.Handle = be64(v)
		case unix.NFTA_RULE_EXPRESSIONS:
			eachAttr(v, func(_ uint16, e []byte) { r.Exprs = append(r.Exprs, parseExpr(e)) })
		case unix.NFTA_RULE_USERDATA:
			r.Comment = udataString(v, byte(userdata.TypeComment))
		}
	})
	return r
}

// Attr returns the first attribute of a type, without its header; nil if there is none.
func (x Expr) Attr(typ uint16) []byte { return Attr(x.Data, typ) }

// U32 returns the first attribute of a type as a number, 0 if there is none.
func (x Expr) U32(typ uint16) uint32 { return U32(x.Attr(typ)) }

// Text returns the first attribute of a type up to its NUL, "" if there is none.
func (x Expr) Text(typ uint16) string { return CString(x.Attr(typ)) }

// Value returns the constant (NFTA_DATA_VALUE) in the attribute of a type.
func (x Expr) Value(typ uint16) []byte { return Attr(x.Attr(typ), unix.NFTA_DATA_VALUE) }

func parseExpr(b []byte) Expr {
	return Expr{Name: CString(Attr(b, unix.NFTA_EXPR_NAME)), Data: Attr(b, unix.NFTA_EXPR_DATA)}
}

// udataString finds a NUL-terminated string in user data, which is foreign input: lengths are checked.
func udataString(b []byte, typ byte) string {
	for len(b) >= 2 {
		n := int(b[1])
		if 2+n > len(b) {
			return ""
		}
		if b[0] == typ {
			return CString(b[2 : 2+n])
		}
		b = b[2+n:]
	}
	return ""
}

// ParseSet reads one answer to NFT_MSG_GETSET, at least 4 bytes.
func ParseSet(b []byte) *Set {
	s := &Set{SetName: SetName{Family: b[0]}}
	eachAttr(b[4:], func(typ uint16, v []byte) {
		switch typ {
		case unix.NFTA_SET_TABLE:
			s.Table = CString(v)
		case unix.NFTA_SET_NAME:
			s.Name = CString(v)
		case unix.NFTA_SET_FLAGS:
			s.Flags = U32(v)
		case unix.NFTA_SET_KEY_TYPE:
			s.keyType = U32(v)
		case unix.NFTA_SET_KEY_LEN:
			s.KeyLen = U32(v)
		case unix.NFTA_SET_OBJ_TYPE:
			s.objType = U32(v)
		case unix.NFTA_SET_DESC:
			eachAttr(Attr(v, nftaSetDescConcat), func(_ uint16, f []byte) {
				s.Concat = append(s.Concat, U32(Attr(f, 1))) // NFTA_SET_FIELD_LEN
			})
		}
	})
	return s
}

// ReadSet reads the elements of a set.
func (c *Reader) ReadSet(n SetName) ([]Elem, error) {
	ms, err := c.request(unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP, n.Family,
		StringAttr(unix.NFTA_SET_ELEM_LIST_TABLE, n.Table), StringAttr(unix.NFTA_SET_ELEM_LIST_SET, n.Name))
	if errors.Is(err, unix.ENOENT) {
		return nil, nil // it went since the ruleset was read
	}
	if err != nil {
		return nil, Wrap("read set "+n.Name, err)
	}
	var es []Elem
	for _, m := range ms {
		es = append(es, ParseElems(m.Data)...)
	}
	return es, nil
}

// ParseElems reads the elements in one answer to NFT_MSG_GETSETELEM.
func ParseElems(b []byte) (es []Elem) {
	eachAttr(Attr(b[4:], unix.NFTA_SET_ELEM_LIST_ELEMENTS), func(_ uint16, v []byte) { es = append(es, parseElem(v)) })
	return es
}

func parseElem(b []byte) Elem {
	var e Elem
	eachAttr(b, func(typ uint16, v []byte) {
		switch typ {
		case unix.NFTA_SET_ELEM_KEY:
			e.Key = slices.Clone(Attr(v, unix.NFTA_DATA_VALUE))
		case nftaSetElemKeyEnd:
			e.KeyEnd = slices.Clone(Attr(v, unix.NFTA_DATA_VALUE))
		case unix.NFTA_SET_ELEM_FLAGS:
			e.End = U32(v)&unix.NFT_SET_ELEM_INTERVAL_END != 0
			e.Catchall = U32(v)&nftSetElemCatchall != 0
		case unix.NFTA_SET_ELEM_TIMEOUT:
			e.Timeout, e.HasTimeout = time.Duration(be64(v))*time.Millisecond, true
		case unix.NFTA_SET_ELEM_EXPIRATION:
			e.Left = time.Duration(be64(v)) * time.Millisecond
		case unix.NFTA_SET_ELEM_USERDATA:
			e.Comment = udataString(v, byte(userdata.NFTNL_UDATA_SET_ELEM_COMMENT))
		case unix.NFTA_SET_ELEM_EXPR:
			e.counter(parseExpr(v))
		case nftaSetElemExpressions:
			eachAttr(v, func(_ uint16, x []byte) { e.counter(parseExpr(x)) })
		case unix.NFTA_SET_ELEM_DATA:
			e.Verdict = ParseVerdict(Attr(v, unix.NFTA_DATA_VERDICT))
			e.Data = slices.Clone(Attr(v, unix.NFTA_DATA_VALUE))
		}
	})
	return e
}

func (e *Elem) counter(x Expr) {
	if x.Name == "counter" {
		e.Packets, e.Bytes = x.counter()
		e.hasCounter = true
	}
}

// counter returns the values of a counter expression.
func (x Expr) counter() (packets, bytes uint64) {
	return be64(x.Attr(unix.NFTA_COUNTER_PACKETS)), be64(x.Attr(unix.NFTA_COUNTER_BYTES))
}

// ParseVerdict reads NFTA_DATA_VERDICT; nil for nil.
func ParseVerdict(b []byte) *Verdict {
	if b == nil {
		return nil
	}
	return &Verdict{int32(U32(Attr(b, unix.NFTA_VERDICT_CODE))), CString(Attr(b, unix.NFTA_VERDICT_CHAIN))}
}

// Numbers of <linux/netfilter/nf_tables.h> that golang.org/x/sys/unix lacks.
const (
	nftaTableUserdata      = 6
	nftaTableOwner         = 7
	nftaSetDescConcat      = 2
	nftaSetElemKeyEnd      = 10
	nftaSetElemExpressions = 11
	nftSetElemCatchall     = 2
	TableFOwner            = 2
	VerdictDrop            = 0 // NF_DROP
	VerdictAccept          = 1 // NF_ACCEPT
	nftSetConcat           = 0x80
)

// CounterOf returns the values of a rule's first counter.
func (r *Rule) CounterOf() (packets, bytes uint64, ok bool) {
	for _, x := range r.Exprs {
		if x.Name == "counter" {
			packets, bytes = x.counter()
			return packets, bytes, true
		}
	}
	return 0, 0, false
}

// Has reports whether the rule has an expression of that name.
func (r *Rule) Has(name string) bool {
	return slices.ContainsFunc(r.Exprs, func(x Expr) bool { return x.Name == name })
}

var hookNames = [...]string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}

func hookName(h uint32) string {
	if int(h) < len(hookNames) {
		return hookNames[h]
	}
	return fmt.Sprint("hook ", h)
}

// FamilyName returns nft's word for an NFPROTO_*.
func FamilyName(f uint8) string {
	switch f {
	case unix.NFPROTO_INET:
		return "inet"
	case unix.NFPROTO_IPV4:
		return "ip"
	case unix.NFPROTO_IPV6:
		return "ip6"
	case unix.NFPROTO_ARP:
		return "arp"
	case unix.NFPROTO_BRIDGE:
		return "bridge"
	case unix.NFPROTO_NETDEV:
		return "netdev"
	}
	return fmt.Sprint(f)
}

// Place names a rule's chain as nft does.
func (r *Rule) Place() string { return FamilyName(r.Family) + " " + r.Table + "/" + r.Chain }

// Said returns the comment of a rule, which iptables-nft keeps as an xtables match.
func (r *Rule) Said() string {
	for i := range r.Exprs {
		if x := &r.Exprs[i]; x.Name == "match" && XTName(*x) == "comment" {
			return x.Text(unix.NFTA_MATCH_INFO)
		}
	}
	return r.Comment
}

// Untracks reports whether the rule has a notrack statement or the xtables target that does the same.
func (r *Rule) Untracks() bool {
	for i := range r.Exprs {
		x := &r.Exprs[i]
		if x.Name == "notrack" || x.Name == "target" && (XTName(*x) == "NOTRACK" || XTName(*x) == "CT" && xtNotrack(x)) {
			return true
		}
	}
	return false
}

// Dates returns the beginning and the end that the xtables match time has (date_start and date_stop of struct
// xt_time_info), zero for none.
func (r *Rule) Dates() (start, stop time.Time) {
	for i := range r.Exprs {
		x := &r.Exprs[i]
		if x.Name != "match" || XTName(*x) != "time" {
			continue
		}
		if info := x.Attr(unix.NFTA_MATCH_INFO); len(info) >= 8 {
			if at := binary.NativeEndian.Uint32(info); at != 0 {
				start = time.Unix(int64(at), 0)
			}
			return start, time.Unix(int64(binary.NativeEndian.Uint32(info[4:])), 0)
		}
	}
	return start, stop
}
