package notrack

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
	"ctview/model/filter"
)

// installed is what stands in ctview's tables of one ruleset.
type installed struct {
	rules []model.NotrackRule
	elems map[string][]elemAt          // by id
	keys  map[string]map[string]string // table → element key → id
	// foreign names, by table, an element that somebody else put into one of ctview's sets.
	foreign map[string]string
}

// An elemAt is an element of ours with its set.
type elemAt struct {
	ruleset.Elem
	set ruleset.SetName
	tag ruleset.Tag
}

func (in *installed) find(id string) *model.NotrackRule {
	for i := range in.rules {
		if in.rules[i].ID == id {
			return &in.rules[i]
		}
	}
	return nil
}

// live reports whether a table has a rule.
func (in *installed) live(table string) bool {
	return slices.ContainsFunc(in.rules, func(r model.NotrackRule) bool { return r.Table == "inet "+table })
}

// in returns the rule of a table.
func (in *installed) in(table, id string) *model.NotrackRule {
	for i := range in.rules {
		if in.rules[i].ID == id && in.rules[i].Table == "inet "+table {
			return &in.rules[i]
		}
	}
	return nil
}

// elements returns the table and the elements of a rule; of the first table, where it is being moved to another.
func (in *installed) elements(id string) (table string, es []elemAt) {
	for _, e := range in.elems[id] {
		if table = in.elems[id][0].set.Table; e.set.Table == table {
			es = append(es, e)
		}
	}
	return table, es
}

// installed reads the elements of ctview's sets and puts the rules together. A rule without a live element has expired
// and is not listed.
func (n *nft) installed(rs *ruleset.Ruleset) (*installed, error) {
	in := &installed{elems: map[string][]elemAt{}, keys: map[string]map[string]string{},
		foreign: map[string]string{}}
	for i := range rs.Tables {
		t := &rs.Tables[i]
		if own, _ := rs.Own(t); !own {
			continue
		}
		in.keys[t.Name] = map[string]string{}
		p := &tableReader{rs: rs, t: t, in: in, at: map[string]int{}}
		for name := range rs.Sets {
			if name.Family != t.Family || name.Table != t.Name {
				continue
			}
			es, err := n.rd.ReadSet(name)
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
			r.Mine = n.s != nil && n.s.table == t.Name
			model.SortRules(r.Rules)
		}
	}
	model.SortNotrackRules(in.rules)
	return in, nil
}

// A tableReader puts the rules of one table together.
type tableReader struct {
	rs *ruleset.Ruleset
	t  *ruleset.Table
	in *installed
	at map[string]int // id → index in in.rules
}

// elem adds one element of a set.
func (p *tableReader) elem(set ruleset.SetName, e *ruleset.Elem) {
	tg, ok := ruleset.ParseTag(e.Comment)
	if !ok {
		p.in.foreign[p.t.Name] = "an element of set " + set.Name
		return
	}
	if e.HasTimeout && e.Timeout > 0 && e.Left == 0 {
		return // about to be collected
	}
	i, ok := p.at[tg.ID]
	if !ok {
		i = len(p.in.rules)
		p.at[tg.ID] = i
		p.in.rules = append(p.in.rules, ruleOf(p.t, tg, e))
	}
	p.in.elems[tg.ID] = append(p.in.elems[tg.ID], elemAt{*e, set, tg})
	f := model.IPv4
	switch set.Name {
	case "flows6":
		f = model.IPv6
	case "flows4":
	default:
		return // a latch
	}
	p.in.keys[p.t.Name][string(e.Key)] = tg.ID
	r := &p.in.rules[i]
	r.Packets[tg.Dir] += e.Packets
	r.Bytes[tg.Dir] += e.Bytes
	if tup, ok := keyTuple(f, e.Key); ok && tg.Dir == ruleset.DirOrig {
		x := model.RuleFromTuple(&tup)
		x.OneWay = true // until the answers' element is found: pair
		r.Rules = append(r.Rules, x)
	}
}

// ruleOf begins a rule from the first element found.
func ruleOf(t *ruleset.Table, tg ruleset.Tag, e *ruleset.Elem) model.NotrackRule {
	r := model.NotrackRule{ID: tg.ID, Backend: "nftables", Table: "inet " + t.Name, Hooks: "prerouting output",
		Keep: tg.Keep, Who: tg.Who, When: tg.Made()}
	r.Left, r.Limited = e.Left, e.HasTimeout && e.Timeout > 0
	trial := time.Duration(tg.Trial) * time.Second
	r.Pending = r.Limited && (e.Timeout-trial).Abs() <= jitter
	if pid, _, _ := strings.Cut(strings.TrimPrefix(t.Name, ruleset.SessionPrefix), "."); pid != ruleset.TableName {
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
			if p.in.keys[p.t.Name][string(flowKey(&rep))] == id {
				r.Rules[j].OneWay = false
			}
		}
	}
}

// wide adds the rules that are not elements, with their counters.
func (p *tableReader) wide() {
	p.pair()
	for i := range p.rs.Chains {
		c := &p.rs.Chains[i]
		if c.Family != p.t.Family || c.Table != p.t.Name || strings.HasSuffix(c.Name, "_verify") {
			continue
		}
		for j := range c.Rules {
			tg, ok := ruleset.ParseTag(c.Rules[j].Comment)
			i, live := p.at[tg.ID]
			if !ok || !live {
				continue
			}
			r := &p.in.rules[i]
			pk, by, _ := c.Rules[j].CounterOf()
			r.Packets[tg.Dir] += pk
			r.Bytes[tg.Dir] += by
			if x, err := filter.ParseRule(tg.Rule); err == nil && !slices.Contains(r.Rules, x) {
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
	for i := range p.rs.Chains {
		c := &p.rs.Chains[i]
		if c.Family != p.t.Family || c.Table != p.t.Name || !strings.HasSuffix(c.Name, "_verify") {
			continue
		}
		verify = true
		for j := range c.Rules {
			pk, _, ok := c.Rules[j].CounterOf()
			if tg, isTag := ruleset.ParseTag(c.Rules[j].Comment); isTag {
				own[tg.ID] += pk
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
