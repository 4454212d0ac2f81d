package format

import (
	"fmt"
	"strings"

	"ctview/model"
)

// TracedPacket writes the packet that was followed on one line, without the time, escaped.
func TracedPacket(p *model.TracePacket) string {
	b := fmt.Appendf(nil, "%s %s", map[bool]string{false: "original", true: "reply   "}[p.Reply], model.RuleFromTuple(&p.Tuple))
	if p.TCP != "" {
		b = fmt.Appendf(b, " [%s]", p.TCP)
	}
	b = fmt.Appendf(b, " len %d", p.Len)
	if p.In != "" {
		b = fmt.Appendf(b, " in %s", model.Escape(p.In))
	}
	return string(b)
}

// TraceSteps writes the steps of a packet, a line each, escaped: the rule with its verdict, and the mark and the addresses where
// they are others than before.
func TraceSteps(p *model.TracePacket) []string {
	out := make([]string, len(p.Steps))
	at, mark := p.Tuple, uint32(0)
	for i := range p.Steps {
		s := &p.Steps[i]
		out[i] = traceStep(s)
		if s.Mark != mark {
			out[i] += fmt.Sprintf("  mark 0x%x", s.Mark)
			mark = s.Mark
		}
		if s.HasTuple && s.Tuple != at {
			out[i] += fmt.Sprintf("  now %s", model.RuleFromTuple(&s.Tuple))
			at = s.Tuple
		}
	}
	return out
}

// traceStep is a step without what became of the packet, escaped.
func traceStep(s *model.TraceStep) string {
	at := s.Family + " " + s.Table + " " + s.Chain
	var what string
	switch {
	case s.Kind == model.TracePolicy:
		what = "policy " + s.Verdict
	case s.Kind == model.TraceReturn:
		what = "end of the chain"
	case s.Rule == "":
		what = fmt.Sprintf("handle %d: the rule has gone (%s)", s.Handle, s.Verdict)
	default:
		what = fmt.Sprintf("handle %d: %s", s.Handle, s.Rule)
		if s.Verdict != "continue" && !strings.HasSuffix(s.Rule, s.Verdict) {
			what += " (" + s.Verdict + ")"
		}
	}
	return model.Escape(at + " " + what)
}

// TraceOutcome says how the way of a packet through the rules ended, escaped.
func TraceOutcome(p *model.TracePacket) string {
	text := "let pass by every nftables rule that it met"
	if len(p.Steps) == 0 {
		text = "met no nftables rule"
	}
	if s := p.Ended(); s != nil {
		by := fmt.Sprintf("handle %d", s.Handle)
		if s.Kind == model.TracePolicy {
			by = "the policy"
		}
		did := map[string]string{"drop": "dropped", "queue": "handed to a program (queue)", "stolen": "taken out (stolen)"}[s.Verdict]
		text = model.Escape(fmt.Sprintf("%s by %s %s %s, %s", did, s.Family, s.Table, s.Chain, by))
	}
	if p.Cut {
		text += "; steps are missing, the kernel's messages were lost"
	}
	return text
}
