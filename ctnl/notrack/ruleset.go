package notrack

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// A ruleset is the namespace's nftables rules as the kernel tells them: one consistent generation.
type ruleset struct {
	gen    uint32 // NFTA_GEN_ID: no change since has another
	tables []nftTable
	chains []nftChain
	sets   map[setName]*nftSet
}

type nftTable struct {
	family uint8
	name   string
	flags  uint32 // NFT_TABLE_F_*
	owner  uint32 // port ID of the owning socket (NFTA_TABLE_OWNER)
	udata  []byte
}

type nftChain struct {
	family      uint8
	table, name string
	base        bool
	typ         string // filter, nat, route
	hook        uint32 // NF_INET_*
	prio        int32
	policy      uint32 // NF_ACCEPT or NF_DROP, base chains only
	rules       []nftRule
}

type nftRule struct {
	family       uint8
	table, chain string
	handle       uint64
	exprs        []nftExpr
	comment      string
}

// An nftExpr is one expression with its undecoded attributes.
type nftExpr struct {
	name string
	data []byte
}

type setName struct {
	family      uint8
	table, name string
}

type nftSet struct {
	setName
	flags   uint32 // NFT_SET_*
	keyType uint32
	keyLen  uint32
	concat  []uint32 // lengths of the fields of a concatenated key
	elems   []nftElem
	read    bool // elems were read
}

type nftElem struct {
	key, keyEnd    []byte
	end            bool // NFT_SET_ELEM_INTERVAL_END
	catchall       bool
	timeout, left  time.Duration
	hasTimeout     bool
	packets, bytes uint64
	hasCounter     bool
	comment        string
	verdict        *verdict
	data           []byte
}

// A verdict is NFTA_DATA_VERDICT.
type verdict struct {
	code  int32 // NF_* or NFT_* (negative)
	chain string
}

// readRuleset reads everything but the elements of sets, which readSet gets when they are asked for.
func (c *conn) readRuleset() (*ruleset, error) {
	for range 30 {
		before, err := c.generation()
		if err != nil {
			return nil, wrap("read ruleset", err)
		}
		rs, err := c.readOnce()
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, wrap("read ruleset", err)
		}
		if after, err := c.generation(); err == nil && after == before {
			rs.gen = before
			return rs, nil
		}
	}
	return nil, fmt.Errorf("notrack: read ruleset: it changes faster than it can be read")
}

func (c *conn) readOnce() (*ruleset, error) {
	rs := &ruleset{sets: map[setName]*nftSet{}}
	ms, err := c.dump(unix.NFT_MSG_GETTABLE)
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		rs.tables = append(rs.tables, parseTable(m.Data))
	}
	if ms, err = c.dump(unix.NFT_MSG_GETCHAIN); err != nil {
		return nil, err
	}
	type chainKey struct {
		f    uint8
		t, c string
	}
	at := map[chainKey]int{}
	for _, m := range ms {
		ch := parseChain(m.Data)
		at[chainKey{ch.family, ch.table, ch.name}] = len(rs.chains)
		rs.chains = append(rs.chains, ch)
	}
	if ms, err = c.dump(unix.NFT_MSG_GETSET); err != nil {
		return nil, err
	}
	for _, m := range ms {
		s := parseSet(m.Data)
		rs.sets[s.setName] = s
	}
	if ms, err = c.dump(unix.NFT_MSG_GETRULE); err != nil {
		return nil, err
	}
	for _, m := range ms {
		r := parseRule(m.Data)
		if i, ok := at[chainKey{r.family, r.table, r.chain}]; ok {
			rs.chains[i].rules = append(rs.chains[i].rules, r)
		}
	}
	return rs, nil
}

func parseTable(b []byte) nftTable {
	t := nftTable{family: b[0]}
	eachAttr(b[4:], func(typ uint16, v []byte) {
		switch typ {
		case unix.NFTA_TABLE_NAME:
			t.name = cstr(v)
		case unix.NFTA_TABLE_FLAGS:
			t.flags = be32(v)
		case nftaTableOwner:
			t.owner = be32(v)
		case nftaTableUserdata:
			t.udata = slices.Clone(v)
		}
	})
	return t
}

func parseChain(b []byte) nftChain {
	c := nftChain{family: b[0], policy: nfAccept}
	eachAttr(b[4:], func(typ uint16, v []byte) {
		switch typ {
		case unix.NFTA_CHAIN_TABLE:
			c.table = cstr(v)
		case unix.NFTA_CHAIN_NAME:
			c.name = cstr(v)
		case unix.NFTA_CHAIN_TYPE:
			c.typ = cstr(v)
		case unix.NFTA_CHAIN_POLICY:
			c.policy = be32(v)
		case unix.NFTA_CHAIN_HOOK:
			c.base = true
			c.hook = be32(attr(v, unix.NFTA_HOOK_HOOKNUM))
			c.prio = int32(be32(attr(v, unix.NFTA_HOOK_PRIORITY)))
		}
	})
	return c
}

func parseRule(b []byte) nftRule {
	r := nftRule{family: b[0]}
	eachAttr(b[4:], func(typ uint16, v []byte) {
		switch typ {
		case unix.NFTA_RULE_TABLE:
			r.table = cstr(v)
		case unix.NFTA_RULE_CHAIN:
			r.chain = cstr(v)
		case unix.NFTA_RULE_HANDLE:
			r.handle = be64(v)
		case unix.NFTA_RULE_EXPRESSIONS:
			eachAttr(v, func(_ uint16, e []byte) { r.exprs = append(r.exprs, parseExpr(e)) })
		case unix.NFTA_RULE_USERDATA:
			r.comment = udataString(v, byte(userdata.TypeComment))
		}
	})
	return r
}

func parseExpr(b []byte) nftExpr {
	return nftExpr{name: cstr(attr(b, unix.NFTA_EXPR_NAME)), data: attr(b, unix.NFTA_EXPR_DATA)}
}

// udataString finds a NUL-terminated string in user data, which is foreign input: lengths are checked.
func udataString(b []byte, typ byte) string {
	for len(b) >= 2 {
		n := int(b[1])
		if 2+n > len(b) {
			return ""
		}
		if b[0] == typ {
			return cstr(b[2 : 2+n])
		}
		b = b[2+n:]
	}
	return ""
}

func parseSet(b []byte) *nftSet {
	s := &nftSet{setName: setName{family: b[0]}}
	eachAttr(b[4:], func(typ uint16, v []byte) {
		switch typ {
		case unix.NFTA_SET_TABLE:
			s.table = cstr(v)
		case unix.NFTA_SET_NAME:
			s.name = cstr(v)
		case unix.NFTA_SET_FLAGS:
			s.flags = be32(v)
		case unix.NFTA_SET_KEY_TYPE:
			s.keyType = be32(v)
		case unix.NFTA_SET_KEY_LEN:
			s.keyLen = be32(v)
		case unix.NFTA_SET_DESC:
			eachAttr(attr(v, nftaSetDescConcat), func(_ uint16, f []byte) {
				s.concat = append(s.concat, be32(attr(f, 1))) // NFTA_SET_FIELD_LEN
			})
		}
	})
	return s
}

// readSet reads the elements of a set.
func (c *conn) readSet(n setName) ([]nftElem, error) {
	ms, err := c.request(unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP, n.family,
		strAttr(unix.NFTA_SET_ELEM_LIST_TABLE, n.table), strAttr(unix.NFTA_SET_ELEM_LIST_SET, n.name))
	if errors.Is(err, unix.ENOENT) {
		return nil, nil // it went since the ruleset was read
	}
	if err != nil {
		return nil, wrap("read set "+n.name, err)
	}
	var es []nftElem
	for _, m := range ms {
		eachAttr(attr(m.Data[4:], unix.NFTA_SET_ELEM_LIST_ELEMENTS), func(_ uint16, v []byte) {
			es = append(es, parseElem(v))
		})
	}
	return es, nil
}

func parseElem(b []byte) nftElem {
	var e nftElem
	eachAttr(b, func(typ uint16, v []byte) {
		switch typ {
		case unix.NFTA_SET_ELEM_KEY:
			e.key = slices.Clone(attr(v, unix.NFTA_DATA_VALUE))
		case nftaSetElemKeyEnd:
			e.keyEnd = slices.Clone(attr(v, unix.NFTA_DATA_VALUE))
		case unix.NFTA_SET_ELEM_FLAGS:
			e.end = be32(v)&unix.NFT_SET_ELEM_INTERVAL_END != 0
			e.catchall = be32(v)&nftSetElemCatchall != 0
		case unix.NFTA_SET_ELEM_TIMEOUT:
			e.timeout, e.hasTimeout = time.Duration(be64(v))*time.Millisecond, true
		case unix.NFTA_SET_ELEM_EXPIRATION:
			e.left = time.Duration(be64(v)) * time.Millisecond
		case unix.NFTA_SET_ELEM_USERDATA:
			e.comment = udataString(v, byte(userdata.NFTNL_UDATA_SET_ELEM_COMMENT))
		case unix.NFTA_SET_ELEM_EXPR:
			e.counter(parseExpr(v))
		case nftaSetElemExpressions:
			eachAttr(v, func(_ uint16, x []byte) { e.counter(parseExpr(x)) })
		case unix.NFTA_SET_ELEM_DATA:
			e.verdict = parseVerdict(attr(v, unix.NFTA_DATA_VERDICT))
			e.data = slices.Clone(attr(v, unix.NFTA_DATA_VALUE))
		}
	})
	return e
}

func (e *nftElem) counter(x nftExpr) {
	if x.name == "counter" {
		e.packets, e.bytes = x.counter()
		e.hasCounter = true
	}
}

// counter returns the values of a counter expression.
func (x nftExpr) counter() (packets, bytes uint64) {
	return be64(attr(x.data, unix.NFTA_COUNTER_PACKETS)), be64(attr(x.data, unix.NFTA_COUNTER_BYTES))
}

func parseVerdict(b []byte) *verdict {
	if b == nil {
		return nil
	}
	return &verdict{int32(be32(attr(b, unix.NFTA_VERDICT_CODE))), cstr(attr(b, unix.NFTA_VERDICT_CHAIN))}
}

// Numbers of <linux/netfilter/nf_tables.h> that golang.org/x/sys/unix lacks.
const (
	nftaTableUserdata      = 6
	nftaTableOwner         = 7
	nftaSetDescConcat      = 2
	nftaSetElemKeyEnd      = 10
	nftaSetElemExpressions = 11
	nftSetElemCatchall     = 2
	nftTableFOwner         = 2
	nfDrop                 = 0 // NF_DROP
	nfAccept               = 1 // NF_ACCEPT
	nftSetConcat           = 0x80
)

// counterOf returns the values of a rule's first counter.
func (r *nftRule) counterOf() (packets, bytes uint64, ok bool) {
	for _, x := range r.exprs {
		if x.name == "counter" {
			packets, bytes = x.counter()
			return packets, bytes, true
		}
	}
	return 0, 0, false
}

// has reports whether the rule has an expression of that name.
func (r *nftRule) has(name string) bool {
	return slices.ContainsFunc(r.exprs, func(x nftExpr) bool { return x.name == name })
}

var hookNames = [...]string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}

func hookName(h uint32) string {
	if int(h) < len(hookNames) {
		return hookNames[h]
	}
	return fmt.Sprint("hook ", h)
}

func familyName(f uint8) string {
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

// place names a rule's chain as nft does.
func (r *nftRule) place() string { return familyName(r.family) + " " + r.table + "/" + r.chain }
