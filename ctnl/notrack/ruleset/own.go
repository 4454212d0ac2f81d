package ruleset

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Priorities of ctview's chains (enum nf_ip_hook_priorities): before the raw table (-300) and so before conntrack (-200),
// and the leak counters right behind conntrack.
const (
	PrioNotrack = -310
	PrioVerify  = -190
)

// LatchPrefix begins the name of the set whose elements keep the wide rules of an ID alive.
const LatchPrefix = "live_"

// watchPrefix begins the name of the tables of package states.
const watchPrefix = "ctview_watch_"

// Named reports whether a table has one of the names that ctview gives. Anybody can give them: see Own.
func (t *Table) Named() bool {
	return t.Family == unix.NFPROTO_INET && (t.Name == TableName || strings.HasPrefix(t.Name, SessionPrefix) &&
		strings.Trim(t.Name[len(SessionPrefix):], "0123456789.") == "")
}

// Own reports whether ctview made table t, which its name alone does not tell: it has a chain that begins with ctview's
// mark, or, emptied by somebody, all the chains and sets of ctview's, in their shape. foreign is the first thing in t that ctview did not make, "" where there is none. Elements are not looked
// at, and objects are not read.
func (rs *Ruleset) Own(t *Table) (own bool, foreign string) {
	note := func(format string, args ...any) {
		if foreign == "" {
			foreign = fmt.Sprintf(format, args...)
		}
	}
	if !t.Named() {
		return false, ""
	}
	parts := 0
	if rest := t.Flags &^ TableFOwner; rest != 0 {
		note("flags %#x", rest)
	}
	for i := range rs.Chains {
		c := &rs.Chains[i]
		if c.Family != t.Family || c.Table != t.Name {
			continue
		}
		if !c.shaped() {
			note("chain %s", c.Name)
			continue
		}
		own = own || c.begun()
		parts++
		for j := range c.Rules {
			if !c.Rules[j].ownShape(c) {
				note("a rule in chain %s: %s", c.Name, RuleText(rs, &c.Rules[j]))
			}
		}
	}
	for n, s := range rs.Sets {
		switch {
		case n.Family != t.Family || n.Table != t.Name:
		case !s.Own():
			note("set %s", n.Name)
		case s.KeyLen > 1:
			parts++
		}
	}
	return own || parts >= 4 && foreign == "", foreign
}

// OwnChain reports whether c is a chain of ctview's: of a table that ctview made, with rules of ctview's only.
func (rs *Ruleset) OwnChain(c *Chain) bool {
	i := slices.IndexFunc(rs.Tables, func(t Table) bool { return t.Family == c.Family && t.Name == c.Table })
	if i < 0 || !rs.Tables[i].Named() || !c.shaped() ||
		slices.ContainsFunc(c.Rules, func(r Rule) bool { return !r.ownShape(c) }) {
		return false
	}
	own, _ := rs.Own(&rs.Tables[i])
	return own
}

// watching reports whether c is a chain of package states: its table belongs to the program that made it.
func (rs *Ruleset) watching(c *Chain) bool {
	return strings.HasPrefix(c.Table, watchPrefix) && slices.ContainsFunc(rs.Tables, func(t Table) bool {
		return t.Family == c.Family && t.Name == c.Table && t.Flags&TableFOwner != 0
	})
}

// shaped reports whether c is hooked as one of ctview's four chains.
func (c *Chain) shaped() bool {
	hook, prio := uint32(unix.NF_INET_PRE_ROUTING), int32(PrioNotrack)
	switch c.Name {
	case "pre":
	case "out":
		hook = unix.NF_INET_LOCAL_OUT
	case "pre_verify":
		prio = PrioVerify
	case "out_verify":
		hook, prio = unix.NF_INET_LOCAL_OUT, PrioVerify
	default:
		return false
	}
	return c.Base && c.Hook == hook && c.Prio == prio && c.Type == "filter" && c.Policy == VerdictAccept
}

// begun reports whether c has the mark that ctview begins its chains with.
func (c *Chain) begun() bool { return len(c.Rules) > 0 && c.Rules[0].Comment == Version }

// ownShape reports whether r is a rule that ctview writes in chain c: with its mark, and doing no more than to untrack or
// count what it matches, or, first in the chain, to leave what comes from the loopback interface alone.
func (r *Rule) ownShape(c *Chain) bool {
	if _, tagged := ParseTag(r.Comment); !tagged && r.Comment != Version || len(r.Exprs) == 0 {
		return false
	}
	end := &r.Exprs[len(r.Exprs)-1]
	if strings.HasSuffix(c.Name, "_verify") && end.Name == "counter" || end.Name == "notrack" {
		return !slices.ContainsFunc(r.Exprs, func(x Expr) bool { return x.Name == "immediate" })
	}
	v := ParseVerdict(Attr(end.Attr(unix.NFTA_IMMEDIATE_DATA), unix.NFTA_DATA_VERDICT))
	return end.Name == "immediate" && v != nil && v.Code == VerdictAccept && r.Comment == Version
}

// Own reports whether s is made as one of ctview's sets.
func (s *Set) Own() bool {
	id, latch := strings.CutPrefix(s.Name, LatchPrefix)
	want := map[string]uint32{"flows4": 20, "flows6": 44}[s.Name] // the bytes of a tuple, each field padded to four
	if latch && isID(id) {
		want = 1 // NFPROTO_*
	}
	return want != 0 && s.KeyLen == want && s.Flags&unix.NFT_SET_TIMEOUT != 0 && s.Flags&unix.NFT_SET_MAP == 0
}
