package filter

import (
	"errors"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"ctview/model"
)

// amount reads the comparison of an amount: the relation must be there.
func (p *parser) amount(s *subject, pr *pred) *Error {
	like := fieldInfos[pr.field].eg
	p.want = want{kind: wantRel, field: pr.field}
	t := p.tok()
	r, ok := orderRel(t)
	switch {
	case ok:
	case t.is("="), t.is("=="):
		r = relEq
	case t.is("!="):
		r = relNe
	case pr.field == fieldEnded: // "ended 2m": no longer ago
		pr.rel = relLe
		return p.amountValue(s, pr)
	default:
		e := p.fail(t, s.word+" wants a comparison", "")
		if t.kind == tokAtom && !isReserved(foldWord(t.text)) {
			if _, _, bad := parseAmount(pr.field, t.text); bad == amountOK {
				like = t.text
				e.Suggestions = []string{"> " + like, "< " + like}
			}
		}
		e.Cure = "write " + s.word + " > " + like + " or " + s.word + " < " + like
		return e
	}
	p.next()
	pr.rel = r
	return p.amountValue(s, pr)
}

// amountValue reads the value that an amount is compared with.
func (p *parser) amountValue(s *subject, pr *pred) *Error {
	p.want = want{kind: wantValue, field: pr.field}
	t, like := p.tok(), fieldInfos[pr.field].eg
	if t.kind != tokAtom || isReserved(foldWord(t.text)) {
		if t.is("{") {
			return p.fail(t, s.word+" takes one value", "write for example "+s.word+" > "+like)
		}
		return p.missing(s, pr.field, t)
	}
	if negative(t.text) {
		return p.less(t, pr.field, t.text)
	}
	n, unit, bad := parseAmount(pr.field, t.text)
	if err := p.amountError(t, s, pr.field, unit, bad); err != nil {
		return err
	}
	if u := p.peek(); unit == "" && u.kind == tokAtom {
		if _, unit, bad := parseAmount(pr.field, t.text+u.text); bad == amountOK && unit != "" {
			fixed := t.text + u.text
			return &Error{Text: p.text, Pos: t.pos, End: u.end, Msg: "a blank before the unit",
				Cure: "write " + fixed, Suggestions: []string{fixed}}
		}
	}
	p.next()
	pr.vals = []val{{lo: n, hi: n}}
	return nil
}

// amountError turns a problem with the amount t into an error.
func (p *parser) amountError(t *token, s *subject, f field, unit string, bad amountProblem) *Error {
	switch bad {
	case amountNone:
		return p.fail(t, quote(t.text)+" is no amount", "write for example "+s.word+" > "+fieldInfos[f].eg)
	case amountBig:
		return p.fail(t, t.text+" is too large", "write a smaller value")
	case amountBits:
		num := t.text[:len(t.text)-len(unit)]
		c := strings.ToUpper(unit[:1])
		if c == "K" {
			c = "k"
		}
		a, b := num+c+"bit", num+c+"B/s"
		return p.fail(t, t.text+" could be bits or bytes", "write "+a+" or "+b, a, b)
	case amountUnit:
		takes := map[field]string{
			fieldBytes: "bytes take k, M, G, T (1000) and Ki, Mi, Gi, Ti (1024)", fieldAvgPkt: "bytes take k, M, G and Ki, Mi, Gi",
			fieldRate: "rates take k, M, G, Ki, Mi, Gi (bytes a second) and kbit, Mbit, Gbit", fieldPackets: "packets take k, M, G and T",
			fieldPPS: "packet rates take k, M, G and T", fieldAge: "times take d, h, m and s, as in 1h30m",
			fieldTimeout: "times take d, h, m and s, as in 1h30m", fieldLived: "times take d, h, m and s, as in 1h30m",
			fieldEnded: "times take d, h, m and s, as in 1h30m",
		}[f]
		if isTime(f) && strings.Contains(t.text, ".") {
			return p.fail(t, model.Escape(t.text)+" is not whole", "write for example 1h30m")
		}
		return p.fail(t, "unknown unit "+quote(unit)+" in "+model.Escape(t.text), takes)
	}
	return nil
}

// isTime reports whether the values of f are times.
func isTime(f field) bool {
	return f == fieldAge || f == fieldTimeout || f == fieldLived || f == fieldEnded
}

// amountProblem says why a text is no amount.
type amountProblem uint8

const (
	amountOK amountProblem = iota
	amountNone
	amountUnit
	amountBig
	amountBits // "5Mb": bits or bytes?
)

// parseAmount reads a value of an amount field in its base unit: bytes, packets, bits a second for rate, seconds. unit
// is what was taken for the unit.
func parseAmount(f field, s string) (n uint64, unit string, bad amountProblem) {
	whole, frac, unit := splitDecimal(s)
	if whole == "" {
		return 0, "", amountNone
	}
	if isTime(f) {
		n, bad = parseSeconds(s)
		return n, unit, bad
	}
	u := strings.ToLower(unit)
	mult := uint64(1)
	switch f {
	case fieldRate:
		u = strings.TrimSuffix(u, "/s")
		mult = 8
		if v, ok := strings.CutSuffix(u, "bit"); ok {
			u, mult = v, 1
		} else if v, ok := strings.CutSuffix(u, "bps"); ok {
			u, mult = v, 1
		} else if v, ok := strings.CutSuffix(u, "b"); ok {
			if strings.Contains(unit, "b") && v != "" {
				return 0, unit, amountBits
			}
			u = v
		}
	case fieldBytes, fieldAvgPkt:
		u = strings.TrimSuffix(u, "b")
	case fieldPPS:
		u = strings.TrimSuffix(u, "/s")
	}
	factor, ok := prefixFactor(u)
	if !ok {
		return 0, unit, amountUnit
	}
	hi, mult := bits.Mul64(mult, factor)
	n, ok = scale(whole, frac, mult)
	if hi != 0 || !ok {
		return 0, unit, amountBig
	}
	return n, unit, amountOK
}

// parseSeconds reads a duration: 90, 90s, 1d12h. A bare number is seconds.
func parseSeconds(s string) (uint64, amountProblem) {
	total := uint64(0)
	for i := 0; s != ""; i++ {
		whole, frac, rest := splitDecimal(s)
		if whole == "" || frac != "" {
			return 0, amountUnit
		}
		mult := uint64(1)
		switch {
		case rest == "" && i == 0:
		case rest == "":
			return 0, amountUnit
		default:
			var ok bool
			if mult, ok = secondsOf(rest[0]); !ok {
				return 0, amountUnit
			}
			rest = rest[1:]
		}
		n, ok := scale(whole, "", mult)
		if total += n; !ok || total < n || total > 1<<62 {
			return 0, amountBig
		}
		s = rest
	}
	return total, amountOK
}

func secondsOf(unit byte) (uint64, bool) {
	switch unit {
	case 'd', 'D':
		return 86400, true
	case 'h', 'H':
		return 3600, true
	case 'm', 'M':
		return 60, true
	case 's', 'S':
		return 1, true
	}
	return 0, false
}

// appendCount appends n with the largest unit that divides it.
func appendCount(dst []byte, n uint64) []byte {
	if n >= 1000 {
		for i, f := range []uint64{1e12, 1e9, 1e6, 1e3, 1 << 40, 1 << 30, 1 << 20, 1 << 10} {
			if n%f == 0 {
				return append(strconv.AppendUint(dst, n/f, 10), []string{"T", "G", "M", "k", "Ti", "Gi", "Mi", "Ki"}[i]...)
			}
		}
	}
	return strconv.AppendUint(dst, n, 10)
}

// appendBitRate appends a rate given in bits a second: in bytes, or in bits where that is the smaller number, or the
// only whole one.
func appendBitRate(dst []byte, n uint64) []byte {
	b, unit := n, "bit"
	for i, f := range []uint64{1e9, 1e6, 1e3} {
		if n >= f && n%f == 0 {
			b, unit = n/f, []string{"Gbit", "Mbit", "kbit"}[i]
			break
		}
	}
	if n%8 == 0 {
		s := appendCount(nil, n/8)
		whole, _, _ := splitDecimal(string(s))
		if v, _, _ := parseInt(whole); v <= b {
			return append(append(dst, s...), "B/s"...)
		}
	}
	return append(strconv.AppendUint(dst, b, 10), unit...)
}

// appendSeconds appends n seconds as a duration that parseSeconds reads: 1d12h, 90s → 1m30s.
func appendSeconds(dst []byte, n uint64) []byte {
	if n == 0 {
		return append(dst, "0s"...)
	}
	for i, f := range []uint64{86400, 3600, 60, 1} {
		if n >= f {
			dst = append(strconv.AppendUint(dst, n/f, 10), "dhms"[i])
			n %= f
		}
	}
	return dst
}

// ParseDuration reads a time as the language does, 90 (seconds), 90s, 1d12h, and besides it parts of a second: 250ms.
// The error says what is wrong without s.
func ParseDuration(s string) (time.Duration, error) {
	if n, bad := parseSeconds(s); s != "" && bad == amountOK && n <= math.MaxInt64/uint64(time.Second) {
		return time.Duration(n) * time.Second, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	return 0, errors.New("is not a time such as 30s, 5m, 1h30m or 2d")
}

// ParseBytes reads a number of bytes as the language does: 65536, 64k, 1.5M, 64Mi. The error says what is wrong without s.
func ParseBytes(s string) (uint64, error) {
	n, _, bad := parseAmount(fieldBytes, s)
	if bad != amountOK {
		return 0, errors.New("is not a size such as 65536, 64k (1000) or 64Ki (1024)")
	}
	return n, nil
}
