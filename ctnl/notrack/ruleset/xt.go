package ruleset

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// An XTRule is one "-A" line of iptables-save.
type XTRule struct {
	IPv6    bool
	Table   string
	Chain   string
	Args    []string // what follows the chain
	Line    string
	Packets uint64
	Bytes   uint64
}

// An XTChain is a ":NAME POLICY" line.
type XTChain struct {
	IPv6   bool
	Table  string
	Name   string
	Policy string // "-" for chains made by a user
}

// Tracks reports whether the rule makes the namespace track connections.
func (r *XTRule) Tracks() bool {
	for i, a := range r.Args {
		if (a == "-m" || a == "-j") && i+1 < len(r.Args) && trackingXT[r.Args[i+1]] {
			return !(r.Args[i+1] == "CT" && slices.Contains(r.Args, "--notrack"))
		}
	}
	return false
}

// LegacyTables returns the legacy tables that exist in the namespace: /proc/net/ip_tables_names names them without
// creating any.
func LegacyTables(ns Namespace, v6 bool) []string {
	f := "/proc/thread-self/net/ip_tables_names"
	if v6 {
		f = "/proc/thread-self/net/ip6_tables_names"
	}
	return strings.Fields(ReadIn(ns, f))
}

// legacyRules returns the rules of the legacy tables, as far as they can be read.
func legacyRules(ns Namespace) []XTRule { return LegacyRead(ns).Rules }

// legacySave are the programs that read legacy tables, by whether they are those of IPv6.
var legacySave = map[bool]string{false: "iptables-legacy-save", true: "ip6tables-legacy-save"}

// Legacy is what the legacy tables of both families hold.
type Legacy struct {
	Rules  []XTRule
	Chains []XTChain
	// Unread are the tables that exist and could not be read, as "nat" or "filter (ipv6)": the program is missing, or fails.
	Unread []string
}

// LegacyRead reads the legacy tables that exist. iptables-legacy-save is asked for those only: it would create the others.
func LegacyRead(ns Namespace) (l Legacy) {
	for _, v6 := range [...]bool{false, true} {
		prog := legacySave[v6]
		for _, t := range LegacyTables(ns, v6) {
			out, err := Run(context.Background(), ns, nil, prog, "-c", "-t", t)
			if err != nil {
				l.Unread = append(l.Unread, t+familySuffix(v6))
				continue
			}
			r, c := ParseSave(string(out), v6)
			l.Rules, l.Chains = append(l.Rules, r...), append(l.Chains, c...)
		}
	}
	return l
}

// ParseSave reads the output of iptables-save, with or without counters.
func ParseSave(text string, v6 bool) (rules []XTRule, chains []XTChain) {
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":"):
			if f := strings.Fields(line[1:]); len(f) >= 2 {
				chains = append(chains, XTChain{v6, table, f[0], f[1]})
			}
		default:
			r := XTRule{IPv6: v6, Table: table, Line: line}
			if strings.HasPrefix(line, "[") {
				end := strings.Index(line, "] ")
				if end < 0 {
					continue
				}
				_, _ = fmt.Sscanf(line[:end+1], "[%d:%d]", &r.Packets, &r.Bytes)
				r.Line = line[end+2:]
			}
			w := ShellWords(r.Line)
			if len(w) < 2 || w[0] != "-A" {
				continue
			}
			r.Chain, r.Args = w[1], w[2:]
			rules = append(rules, r)
		}
	}
	return rules, chains
}

// ShellWords splits a line of iptables-save: words in double quotes may hold blanks and escaped quotes.
func ShellWords(s string) []string {
	var ws []string
	var b []byte
	in, quoted := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\' && i+1 < len(s):
			i++
			b = append(b, s[i])
		case c == '"':
			quoted, in = !quoted, true
		case c == ' ' && !quoted:
			if in {
				ws, b, in = append(ws, string(b)), b[:0], false
			}
		default:
			b, in = append(b, c), true
		}
	}
	if in {
		ws = append(ws, string(b))
	}
	return ws
}

// Notrack reports whether the rule takes packets out of tracking.
func (r *XTRule) Notrack() bool {
	i := slices.Index(r.Args, "-j")
	if i < 0 || i+1 >= len(r.Args) {
		return false
	}
	return r.Args[i+1] == "NOTRACK" || r.Args[i+1] == "CT" && slices.Contains(r.Args, "--notrack")
}

// Option returns the word after an option, "" if it is not there.
func (r *XTRule) Option(name string) string {
	if i := slices.Index(r.Args, name); i >= 0 && i+1 < len(r.Args) {
		return r.Args[i+1]
	}
	return ""
}

// XTName returns the name of an xtables match or target (NFTA_MATCH_NAME and NFTA_TARGET_NAME are both 1).
func XTName(x Expr) string { return x.Text(1) }

// xtNotrack reports whether a CT target is "--notrack" (XT_CT_NOTRACK).
func xtNotrack(x *Expr) bool {
	info := x.Attr(unix.NFTA_TARGET_INFO)
	return len(info) >= 2 && binary.NativeEndian.Uint16(info)&3 != 0
}

// xtHelper reports whether a CT target has a helper's name (struct xt_ct_target_info: flags, zone, two event masks,
// then the name).
func xtHelper(x *Expr) bool {
	info := x.Attr(3) // NFTA_TARGET_INFO
	return len(info) > 12 && info[12] != 0
}
