package finding

import "fmt"

// An Elsewhere is another network namespace of this machine with its entries.
type Elsewhere struct {
	Spec    string // as --netns takes it
	About   string // what is known of it, unescaped
	Entries int
}

// elsewhere tells of other namespaces that fill up: the limit is one number, and each namespace's own entries are held to it.
func elsewhere(_ *Engine, in *Input) (all []Finding) {
	limit := in.limit()
	if limit == 0 {
		return nil
	}
	for _, x := range in.Rules.Elsewhere {
		if share(x.Entries, limit) < partHigh {
			continue
		}
		f := Finding{Name: "other-namespace", Subject: x.Spec, Severity: Warning, Place: InStats, Amount: int64(x.Entries)}
		if share(x.Entries, limit) >= partFull {
			f.Severity = Severe
		}
		about := ""
		if x.About != "" {
			about = " (" + x.About + ")"
		}
		f.Text = fmt.Sprintf("namespace %s%s has %s of %s entries, %s of what it may have", x.Spec, about, count(x.Entries), count(limit), percent(x.Entries, limit))
		f.Cures = []Cure{{"look there", "ctview diagnose --netns " + Word(x.Spec)}}
		all = append(all, f)
	}
	return all
}

// zoned tells of NOTRACK rules that come too late: a rule before them gave the packet a zone, and with that a template of
// an entry, which notrack does not take away (nft_notrack_eval, notrack_tg).
func zoned(_ *Engine, in *Input) (all []Finding) {
	for _, z := range in.Rules.Zoned {
		all = append(all, Finding{Name: "notrack-zoned", Subject: z.Notrack, Severity: Warning, Place: InNotrack, Amount: 1,
			Text:  fmt.Sprintf("the NOTRACK rule in %s does nothing for packets to which %s gives a zone first", z.Notrack, z.Zone),
			Cures: []Cure{{"put the NOTRACK rule before the one that sets the zone: first in its chain, or in a chain of a lower priority", ""}}})
	}
	return all
}

// A Zoned is a NOTRACK rule that stands behind a rule which sets a zone.
type Zoned struct {
	Notrack, Zone string // where each stands, for people
}
