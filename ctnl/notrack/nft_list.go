package notrack

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"ctview/model"
)

// installed is what stands in ctview's tables of one ruleset.
type installed struct {
	rules []model.NotrackRule
	elems map[string][]elemAt          // by id
	keys  map[string]map[string]string // table → element key → id
}

// An elemAt is an element of ours with its set.
type elemAt struct {
	nftElem
	set setName
	tag tag
}

func (in *installed) find(id string) *model.NotrackRule {
	for i := range in.rules {
		if in.rules[i].ID == id {
			return &in.rules[i]
		}
	}
	return nil
}

// elements returns the table and the elements of a rule.
func (in *installed) elements(id string) (table string, es []elemAt) {
	es = in.elems[id]
	if len(es) > 0 {
		table = es[0].set.table
	}
	return table, es
}

// installed reads the elements of ctview's sets and puts the rules together. A rule without a live element has expired
// and is not listed.
func (n *nft) installed(rs *ruleset) (*installed, error) {
	in := &installed{elems: map[string][]elemAt{}, keys: map[string]map[string]string{}}
	for i := range rs.tables {
		t := &rs.tables[i]
		if !ours(t) {
			continue
		}
		in.keys[t.name] = map[string]string{}
		p := &tableReader{rs: rs, t: t, in: in, at: map[string]int{}}
		for name := range rs.sets {
			if name.family != t.family || name.table != t.name {
				continue
			}
			es, err := n.rd.readSet(name)
			if err != nil {
				return nil, err
			}
			for j := range es {
				p.elem(name, &es[j])
			}
		}
		p.wide()
		p.leaks()
		for _, i := range p.at {
			r := &in.rules[i]
			r.Mine = n.s != nil && n.s.table == t.name
			slices.SortFunc(r.Rules, func(a, b model.Rule) int { return strings.Compare(a.String(), b.String()) })
		}
	}
	slices.SortFunc(in.rules, func(a, b model.NotrackRule) int {
		if c := a.When.Compare(b.When); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return in, nil
}

// A tableReader puts the rules of one table together.
type tableReader struct {
	rs *ruleset
	t  *nftTable
	in *installed
	at map[string]int // id → index in in.rules
}

// elem adds one element of a set.
func (p *tableReader) elem(set setName, e *nftElem) {
	tg, ok := parseTag(e.comment)
	if !ok || e.hasTimeout && e.timeout > 0 && e.left == 0 {
		return // not ours, or about to be collected
	}
	i, ok := p.at[tg.id]
	if !ok {
		i = len(p.in.rules)
		p.at[tg.id] = i
		p.in.rules = append(p.in.rules, ruleOf(p.t, tg, e))
	}
	p.in.elems[tg.id] = append(p.in.elems[tg.id], elemAt{*e, set, tg})
	f := model.IPv4
	switch set.name {
	case "flows6":
		f = model.IPv6
	case "flows4":
	default:
		return // a latch
	}
	p.in.keys[p.t.name][string(e.key)] = tg.id
	r := &p.in.rules[i]
	r.Packets[tg.dir] += e.packets
	r.Bytes[tg.dir] += e.bytes
	if tup, ok := keyTuple(f, e.key); ok && tg.dir == dirOrig {
		x := model.RuleFromTuple(&tup)
		x.OneWay = true // until the answers' element is found: pair
		r.Rules = append(r.Rules, x)
	}
}

// ruleOf begins a rule from the first element found.
func ruleOf(t *nftTable, tg tag, e *nftElem) model.NotrackRule {
	r := model.NotrackRule{ID: tg.id, Backend: "nftables", Table: "inet " + t.name, Hooks: "prerouting output",
		Keep: tg.keep, Who: tg.who, When: time.Unix(tg.when, 0)}
	r.Left, r.Limited = e.left, e.hasTimeout && e.timeout > 0
	trial := time.Duration(tg.trial) * time.Second
	r.Pending = r.Limited && (e.timeout-trial).Abs() <= jitter
	if pid, _, _ := strings.Cut(strings.TrimPrefix(t.name, sessionPrefix), "."); pid != tableName {
		n, _ := strconv.ParseUint(pid, 10, 32)
		r.Owner = uint32(n)
	}
	return r
}

// pair takes OneWay off the exact rules whose answers have an element too.
func (p *tableReader) pair() {
	for id, i := range p.at {
		r := &p.in.rules[i]
		for j := range r.Rules {
			if !r.Rules[j].Exact() || !r.Rules[j].Proto.HasPorts() {
				continue
			}
			_, rep := r.Rules[j].Tuples()
			if p.in.keys[p.t.name][string(flowKey(&rep))] == id {
				r.Rules[j].OneWay = false
			}
		}
	}
}

// wide adds the rules that are not elements, with their counters.
func (p *tableReader) wide() {
	p.pair()
	for i := range p.rs.chains {
		c := &p.rs.chains[i]
		if c.family != p.t.family || c.table != p.t.name || strings.HasSuffix(c.name, "_verify") {
			continue
		}
		for j := range c.rules {
			tg, ok := parseTag(c.rules[j].comment)
			i, live := p.at[tg.id]
			if !ok || !live {
				continue
			}
			r := &p.in.rules[i]
			pk, by, _ := c.rules[j].counterOf()
			r.Packets[tg.dir] += pk
			r.Bytes[tg.dir] += by
			if x, err := model.ParseRule(tg.rule); err == nil && !slices.Contains(r.Rules, x) {
				r.Rules = append(r.Rules, x)
			}
		}
	}
}

// leaks reads the counters behind conntrack. Exact rules share one counter per chain: a leak is shown at each of them,
// and which it was is found by deleting one. Wide rules have their own.
func (p *tableReader) leaks() {
	var shared uint64
	verify := false
	own := map[string]uint64{}
	for i := range p.rs.chains {
		c := &p.rs.chains[i]
		if c.family != p.t.family || c.table != p.t.name || !strings.HasSuffix(c.name, "_verify") {
			continue
		}
		verify = true
		for j := range c.rules {
			pk, _, ok := c.rules[j].counterOf()
			if tg, isTag := parseTag(c.rules[j].comment); isTag {
				own[tg.id] += pk
			} else if ok {
				shared += pk
			}
		}
	}
	for id, i := range p.at {
		r := &p.in.rules[i]
		r.HasLeak = verify
		if n, wide := own[id]; wide {
			r.Leaked = n
		} else {
			r.Leaked = shared
		}
	}
}
