package notrack

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
	"ctview/model/filter"
)

// xtInstalled is what stands in the raw tables.
type xtInstalled struct {
	rules []model.NotrackRule
	lines map[string]map[model.Family][]ruleset.XTRule // by id
	tags  map[string]ruleset.Tag
	dead  map[model.Family][]ruleset.XTRule // expired
}

func (in *xtInstalled) find(id string) *model.NotrackRule {
	for i := range in.rules {
		if in.rules[i].ID == id {
			return &in.rules[i]
		}
	}
	return nil
}

// read lists ctview's rules. The legacy programs are run only where a raw table exists: they would create it.
func (b *iptables) read(ctx context.Context) (*xtInstalled, error) {
	in := &xtInstalled{lines: map[string]map[model.Family][]ruleset.XTRule{}, tags: map[string]ruleset.Tag{}, dead: map[model.Family][]ruleset.XTRule{}}
	at := map[string]int{}
	for _, f := range [...]model.Family{model.IPv4, model.IPv6} {
		if b.variant == "iptables-legacy" && !slices.Contains(ruleset.LegacyTables(b.ns, f == model.IPv6), "raw") {
			continue
		}
		out, err := ruleset.Run(ctx, b.ns, nil, b.tool(f, "save"), "-c", "-t", "raw")
		if err != nil {
			return nil, fmt.Errorf("notrack: %w", err)
		}
		rules, _ := ruleset.ParseSave(string(out), f == model.IPv6)
		for _, r := range rules {
			b.readRule(in, at, f, r)
		}
	}
	model.SortNotrackRules(in.rules)
	return in, nil
}

func (b *iptables) readRule(in *xtInstalled, at map[string]int, f model.Family, r ruleset.XTRule) {
	t, ok := ruleset.ParseTag(r.Option("--comment"))
	if !ok || !b.wrote(f, r, t) {
		return
	}
	var left time.Duration
	stop := r.Option("--datestop")
	if end, err := time.Parse(stampForm, stop); stop != "" && err == nil {
		start, _ := time.Parse(stampForm, r.Option("--datestart")) // older ctviews wrote none
		if left = leftBetween(start, end); left <= 0 {
			in.dead[f] = append(in.dead[f], r)
			return
		}
	}
	i, ok := at[t.ID]
	if !ok {
		i = len(in.rules)
		at[t.ID] = i
		in.rules = append(in.rules, model.NotrackRule{ID: t.ID, Backend: b.variant, Table: "raw", Hooks: "prerouting output",
			Keep: t.Keep, Who: t.Who, When: t.Made(), Limited: stop != "", Left: left, Pending: t.Trial != 0,
			Owner: uint32(t.Owner), Mine: t.Owner == os.Getpid()})
		in.lines[t.ID] = map[model.Family][]ruleset.XTRule{}
		in.tags[t.ID] = t
	}
	in.lines[t.ID][f] = append(in.lines[t.ID][f], r)
	x := &in.rules[i]
	x.Packets[t.Dir] += r.Packets
	x.Bytes[t.Dir] += r.Bytes
	if m, err := filter.ParseRule(t.Rule); err == nil && !slices.Contains(x.Rules, m) {
		x.Rules = append(x.Rules, m)
	}
}

// wrote reports whether a line is as ctview writes it for its tag. A comment alone anybody can write.
func (b *iptables) wrote(f model.Family, r ruleset.XTRule, t ruleset.Tag) bool {
	m, err := filter.ParseRule(t.Rule)
	if err != nil {
		return false
	}
	got := plain(r.Chain, r.Args)
	for _, l := range b.lines(&group{id: t.ID, rules: []model.Rule{m}}, f, 0) {
		if w := ruleset.ShellWords(l); plain(w[1], w[2:]) == got {
			return true
		}
	}
	return false
}

// plain writes what a line says in one order, whichever program printed it, without comment and end.
func plain(chain string, args []string) string {
	words := []string{chain}
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-m" && i+1 < len(args) && (args[i+1] == "comment" || args[i+1] == "time"):
			i++
		case (a == "--comment" || a == "--datestart" || a == "--datestop") && i+1 < len(args):
			i++
		case a == "-j" && i+1 < len(args) && args[i+1] == "NOTRACK":
			words = append(words, "-j", "CT", "--notrack")
			i++
		case a == "udplite":
			words = append(words, "136")
		default:
			words = append(words, a)
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func (b *iptables) list(ctx context.Context) ([]model.NotrackRule, error) {
	in, err := b.read(ctx)
	if err != nil {
		return nil, err
	}
	return in.rules, nil
}
