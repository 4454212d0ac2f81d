package ruleset

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ctview/model"
)

// RuleText writes a rule of anybody's in nft's language, as far as ctview knows it; what it does not know is named in
// angle brackets. The text is for eyes, unescaped.
func RuleText(rs *Ruleset, r *Rule) string {
	w := &ruleWriter{rs: rs, r: r, regs: map[int]string{}}
	for i := range r.Exprs {
		w.expr(&r.Exprs[i])
	}
	return strings.Join(w.out, " ")
}

// A ruleWriter knows what the registers were loaded with.
type ruleWriter struct {
	rs    *Ruleset
	r     *Rule
	regs  map[int]string // byte offset of the register → what it holds
	proto string         // of the rule, "th" where none was compared
	out   []string
}

func (w *ruleWriter) add(format string, args ...any) {
	w.out = append(w.out, fmt.Sprintf(format, args...))
}

func (w *ruleWriter) expr(x *Expr) {
	switch x.Name {
	case "meta":
		if s := x.Attr(unix.NFTA_META_SREG); s != nil && metaNames[x.U32(unix.NFTA_META_KEY)] != "" {
			w.add("%s set %s", metaNames[x.U32(unix.NFTA_META_KEY)], w.regs[Register(U32(s))])
			return
		}
		w.load(x, unix.NFTA_META_DREG, metaNames[x.U32(unix.NFTA_META_KEY)], "meta")
	case "ct":
		name := "ct " + ctNames[x.U32(unix.NFTA_CT_KEY)]
		if d := x.Attr(unix.NFTA_CT_DREG); d == nil {
			w.add("%s set %s", name, w.regs[Register(x.U32(unix.NFTA_CT_SREG))])
		} else {
			w.regs[Register(U32(d))] = name
		}
	case "payload":
		w.load(x, unix.NFTA_PAYLOAD_DREG, w.field(x), "payload")
	case "bitwise":
		reg := Register(x.U32(unix.NFTA_BITWISE_SREG))
		mask := x.Value(unix.NFTA_BITWISE_MASK)
		w.regs[Register(x.U32(unix.NFTA_BITWISE_DREG))] = w.regs[reg] + "\x00" + hex.EncodeToString(mask)
	case "cmp":
		v := x.Value(unix.NFTA_CMP_DATA)
		w.compare(w.regs[Register(x.U32(unix.NFTA_CMP_SREG))], x.U32(unix.NFTA_CMP_OP), v)
	case "range":
		name := w.regs[Register(x.U32(unix.NFTA_RANGE_SREG))]
		from := x.Value(unix.NFTA_RANGE_FROM_DATA)
		to := x.Value(unix.NFTA_RANGE_TO_DATA)
		w.add("%s %s-%s", w.th(name), value(name, from), value(name, to))
	case "lookup":
		w.lookup(x)
	case "immediate":
		w.immediate(x)
	case "counter":
	case "log", "limit", "reject", "quota", "queue":
		w.add("%s", x.Name)
	default:
		if !w.action(x) {
			w.add("<%s>", x.Name)
		}
	}
}

// action writes the expressions that match nothing but do something, and those of xtables.
func (w *ruleWriter) action(x *Expr) bool {
	switch x.Name {
	case "objref":
		if t := x.U32(unix.NFTA_OBJREF_IMM_TYPE); t == objectHelper {
			w.add("ct helper set %q", x.Text(unix.NFTA_OBJREF_IMM_NAME))
		} else if t != 1 { // NFT_OBJECT_COUNTER says nothing of what matches
			w.add("<object %q>", x.Text(unix.NFTA_OBJREF_IMM_NAME))
		}
	case "notrack":
		w.add("notrack")
	case "masq":
		w.add("masquerade")
	case "redir":
		w.add("redirect")
	case "nat":
		kind := "snat"
		if x.U32(unix.NFTA_NAT_TYPE) == unix.NFT_NAT_DNAT {
			kind = "dnat"
		}
		w.add("%s", strings.TrimSpace(kind+" to "+w.regs[Register(x.U32(unix.NFTA_NAT_REG_ADDR_MIN))]))
	case "match":
		if n := XTName(*x); n == "comment" {
			w.add("/* %s */", x.Text(unix.NFTA_MATCH_INFO))
		} else {
			w.add("-m %s", n)
		}
	case "target":
		if XTName(*x) == "CT" && xtNotrack(x) {
			w.add("-j CT --notrack")
		} else {
			w.add("-j %s", XTName(*x))
		}
	default:
		return false
	}
	return true
}

// load notes what a register holds.
func (w *ruleWriter) load(x *Expr, dregAttr uint16, name, kind string) {
	d := x.Attr(dregAttr)
	if d == nil {
		w.add("%s set", strings.TrimSpace(kind+" "+name))
		return
	}
	if name == "" {
		name = "<" + kind + ">"
	}
	w.regs[Register(U32(d))] = name
}

// field names a header field.
func (w *ruleWriter) field(x *Expr) string {
	base, off, n := x.U32(unix.NFTA_PAYLOAD_BASE), x.U32(unix.NFTA_PAYLOAD_OFFSET),
		x.U32(unix.NFTA_PAYLOAD_LEN)
	switch {
	case base == unix.NFT_PAYLOAD_NETWORK_HEADER && n == 4 && (off == 12 || off == 16):
		return map[uint32]string{12: "ip saddr", 16: "ip daddr"}[off]
	case base == unix.NFT_PAYLOAD_NETWORK_HEADER && n == 16 && (off == 8 || off == 24):
		return map[uint32]string{8: "ip6 saddr", 24: "ip6 daddr"}[off]
	case base == unix.NFT_PAYLOAD_NETWORK_HEADER && n < 4 && off == 12, base == unix.NFT_PAYLOAD_NETWORK_HEADER && n < 4 && off == 16:
		return map[uint32]string{12: "ip saddr", 16: "ip daddr"}[off] // iptables-nft compares the whole bytes of a prefix
	case base == unix.NFT_PAYLOAD_NETWORK_HEADER && off == 9 && n == 1:
		return "ip protocol"
	case base == unix.NFT_PAYLOAD_TRANSPORT_HEADER && n == 2 && (off == 0 || off == 2):
		return map[uint32]string{0: "th sport", 2: "th dport"}[off]
	case base == unix.NFT_PAYLOAD_TRANSPORT_HEADER && n == 4 && off == 0:
		return "th ports" // both at once, as iptables-nft compares them
	}
	return fmt.Sprintf("@%s,%d,%d", map[uint32]string{0: "ll", 1: "nh", 2: "th"}[base], off*8, n*8)
}

// th puts the protocol that the rule compared before in front of a port.
func (w *ruleWriter) th(name string) string {
	if rest, ok := strings.CutPrefix(name, "th "); ok && w.proto != "" {
		return w.proto + " " + rest
	}
	return name
}

var cmpOps = map[uint32]string{unix.NFT_CMP_NEQ: "!= ", unix.NFT_CMP_LT: "< ", unix.NFT_CMP_LTE: "<= ",
	unix.NFT_CMP_GT: "> ", unix.NFT_CMP_GTE: ">= "}

func (w *ruleWriter) compare(name string, op uint32, v []byte) {
	name, mask, masked := strings.Cut(name, "\x00")
	switch {
	case name == "meta nfproto" && op == unix.NFT_CMP_EQ:
		return // the addresses say it, or the table's family
	case name == "meta l4proto" && op == unix.NFT_CMP_EQ && len(v) == 1:
		if p := model.Proto(v[0]); p.HasPorts() {
			w.proto = p.String()
			for _, x := range w.r.Exprs { // a port that follows says the protocol
				if x.Name == "payload" && strings.HasPrefix(w.field(&x), "th ") {
					return
				}
			}
		}
		w.add("meta l4proto %s", value(name, v))
	case name == "ct state" && masked && op == unix.NFT_CMP_NEQ: // ct state established,related
		m, _ := hex.DecodeString(mask)
		w.add("ct state %s", value(name, m))
	case masked:
		m, _ := hex.DecodeString(mask)
		if n, ok := prefixLen(m); ok && strings.HasSuffix(name, "addr") {
			w.add("%s %s%s/%d", name, cmpOps[op], value(name, v), n)
			return
		}
		w.add("%s & 0x%s %s0x%s", name, mask, map[bool]string{true: "== ", false: cmpOps[op]}[op == unix.NFT_CMP_EQ], hex.EncodeToString(v))
	case name == "th ports" && len(v) == 4:
		w.add("%s %s%s", w.th("th sport"), cmpOps[op], value("th sport", v[:2]))
		w.add("%s %s%s", w.th("th dport"), cmpOps[op], value("th dport", v[2:]))
	case (name == "ip saddr" || name == "ip daddr") && len(v) < 4:
		w.add("%s %s%s/%d", name, cmpOps[op], value(name, append(append([]byte{}, v...), make([]byte, 4-len(v))...)), len(v)*8)
	default:
		w.add("%s %s%s", w.th(name), cmpOps[op], value(name, v))
	}
}

func prefixLen(mask []byte) (n int, ok bool) {
	for i := range len(mask) * 8 {
		set := mask[i/8]&(0x80>>(i%8)) != 0
		if set && i != n {
			return 0, false
		}
		if set {
			n++
		}
	}
	return n, true
}

func (w *ruleWriter) lookup(x *Expr) {
	set := x.Text(unix.NFTA_LOOKUP_SET)
	base := Register(x.U32(unix.NFTA_LOOKUP_SREG))
	var names []string
	if s := w.rs.Sets[SetName{w.r.Family, w.r.Table, set}]; s != nil {
		for o := base; o < base+int(min(s.KeyLen, 64)); o += 4 {
			if n, ok := w.regs[o]; ok {
				names = append(names, w.th(n))
			}
		}
	} else {
		names = append(names, w.th(w.regs[base]))
	}
	name, _, _ := strings.Cut(strings.Join(names, " . "), "\x00")
	if x.U32(unix.NFTA_LOOKUP_FLAGS)&unix.NFT_LOOKUP_F_INV != 0 {
		name += " !="
	}
	if x.Attr(unix.NFTA_LOOKUP_DREG) != nil {
		name += " vmap"
	}
	w.add("%s @%s", name, set)
}

func (w *ruleWriter) immediate(x *Expr) {
	d := x.Attr(unix.NFTA_IMMEDIATE_DATA)
	if v := ParseVerdict(Attr(d, unix.NFTA_DATA_VERDICT)); v != nil {
		switch v.Code {
		case VerdictAccept:
			w.add("accept")
		case VerdictDrop:
			w.add("drop")
		case unix.NFT_RETURN:
			w.add("return")
		case unix.NFT_JUMP:
			w.add("jump %s", v.Chain)
		case unix.NFT_GOTO:
			w.add("goto %s", v.Chain)
		case unix.NFT_CONTINUE:
			w.add("continue")
		}
		return
	}
	v := Attr(d, unix.NFTA_DATA_VALUE)
	text := "0x" + hex.EncodeToString(v)
	switch len(v) {
	case 2:
		text = strconv.Itoa(int(binary.NativeEndian.Uint16(v)))
	case 4:
		a, _ := netip.AddrFromSlice(v)
		if w.r.Has("nat") {
			text = a.String()
		} else {
			text = fmt.Sprintf("0x%x", binary.NativeEndian.Uint32(v))
		}
	case 16:
		a, _ := netip.AddrFromSlice(v)
		text = a.String()
	}
	w.regs[Register(x.U32(unix.NFTA_IMMEDIATE_DREG))] = text
}

var metaNames = map[uint32]string{unix.NFT_META_NFPROTO: "meta nfproto", unix.NFT_META_L4PROTO: "meta l4proto",
	unix.NFT_META_PROTOCOL: "meta protocol", unix.NFT_META_IIFNAME: "iifname", unix.NFT_META_OIFNAME: "oifname",
	unix.NFT_META_IIF: "iif", unix.NFT_META_OIF: "oif", unix.NFT_META_MARK: "meta mark", unix.NFT_META_IIFTYPE: "iiftype",
	unix.NFT_META_OIFTYPE: "oiftype", unix.NFT_META_LEN: "meta length", unix.NFT_META_PKTTYPE: "pkttype",
	unix.NFT_META_SKUID: "meta skuid"}

var ctNames = map[uint32]string{unix.NFT_CT_STATE: "state", unix.NFT_CT_STATUS: "status", unix.NFT_CT_MARK: "mark",
	unix.NFT_CT_ZONE: "zone", unix.NFT_CT_HELPER: "helper", unix.NFT_CT_DIRECTION: "direction", unix.NFT_CT_LABELS: "label",
	unix.NFT_CT_EVENTMASK: "event"}

// value writes a constant as its field would be written.
func value(name string, v []byte) string {
	name, _, _ = strings.Cut(name, "\x00")
	switch {
	case strings.HasSuffix(name, "addr") && (len(v) == 4 || len(v) == 16):
		a, _ := netip.AddrFromSlice(v)
		return a.String()
	case strings.HasSuffix(name, "port") && len(v) == 2:
		return strconv.Itoa(int(binary.BigEndian.Uint16(v)))
	case (name == "iifname" || name == "oifname") && len(v) > 0:
		s := CString(v)
		if len(s) == len(v) && len(v) < 16 {
			s += "*" // compared only so far
		}
		return strconv.Quote(s)
	case name == "ct state" && len(v) == 4:
		return stateNames(binary.NativeEndian.Uint32(v))
	case (name == "meta l4proto" || name == "ip protocol") && len(v) == 1:
		return model.Proto(v[0]).String()
	case len(v) == 4:
		return fmt.Sprintf("0x%x", binary.NativeEndian.Uint32(v))
	}
	return "0x" + hex.EncodeToString(v)
}

func stateNames(bits uint32) string {
	var ns []string
	for _, s := range [...]struct {
		bit  uint32
		name string
	}{{2, "established"}, {4, "related"}, {8, "new"}, {1, "invalid"}, {64, "untracked"}} {
		if bits&s.bit != 0 {
			ns = append(ns, s.name)
		}
	}
	return strings.Join(ns, ",")
}

// Register returns the offset of a register: NFT_REG_1… are 16 bytes, NFT_REG32_00… 4.
func Register(reg uint32) int {
	if reg >= unix.NFT_REG32_00 {
		return min(int(reg-unix.NFT_REG32_00)*4, 60)
	}
	if reg >= 1 && reg <= 4 {
		return int(reg-1) * 16
	}
	return 0
}
