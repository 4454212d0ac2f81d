package trace

import (
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// ruleText writes the rule that a step names, "" where there is none. A rule that is not known is looked for once more: the ruleset may have changed since it was read.
func (t *Tracer) ruleText(m *message) string {
	if m.step.Kind != model.TraceRule || m.step.Handle == 0 {
		return ""
	}
	for try := range 2 {
		if r := t.find(m); r != nil {
			return ruleset.RuleText(t.rules, r)
		}
		if try > 0 || !t.reread() {
			break
		}
	}
	return ""
}

func (t *Tracer) find(m *message) *ruleset.Rule {
	for i := range t.rules.Chains {
		c := &t.rules.Chains[i]
		if c.Family != m.family || c.Table != m.step.Table || c.Name != m.step.Chain {
			continue
		}
		for j := range c.Rules {
			if c.Rules[j].Handle == m.step.Handle {
				return &c.Rules[j]
			}
		}
	}
	return nil
}

// reread reads the ruleset if it has changed, and reports whether it has.
func (t *Tracer) reread() bool {
	rd, err := ruleset.Dial(t.ns)
	if err != nil {
		return false
	}
	defer rd.Close()
	if gen, err := rd.Generation(); err != nil || gen == t.rules.Gen {
		return false
	}
	rs, err := rd.Read()
	if err != nil {
		return false
	}
	t.rules = rs
	return true
}
