package notrack

import (
	"errors"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// lacksRaw returns, for the families that have no raw table yet, the line that marks it as ctview's.
func (b *iptables) lacksRaw() map[model.Family][]string {
	rd, err := ruleset.Dial(b.ns)
	if err != nil || b.variant != "iptables-nft" {
		return nil
	}
	defer rd.Close()
	rs, err := rd.Read()
	if err != nil {
		return nil
	}
	made := map[model.Family][]string{model.IPv4: {":" + ruleset.MadeRaw + " - [0:0]"}, model.IPv6: {":" + ruleset.MadeRaw + " - [0:0]"}}
	for _, t := range rs.Tables {
		if t.Name == "raw" {
			delete(made, model.Family(t.Family))
		}
	}
	return made
}

// dropRaw deletes the raw tables with that mark in which nobody has a rule, a set or a chain of their own.
func (b *iptables) dropRaw() error {
	rd, err := ruleset.Dial(b.ns)
	if err != nil {
		return err
	}
	defer rd.Close()
	n := &nft{ns: b.ns, rd: rd}
	return retry("delete an empty raw table", func() error {
		rs, err := rd.Read()
		if err != nil {
			return err
		}
		for _, t := range rs.Tables {
			chains := rawChains(rs, &t)
			if len(chains) == 0 {
				continue
			}
			tgt, err := n.target(rs, t.Name)
			if err != nil {
				return err
			}
			defer tgt.done()
			nt := &nftables.Table{Name: t.Name, Family: nftables.TableFamily(t.Family)}
			for _, name := range chains {
				tgt.c.DelChain(&nftables.Chain{Name: name, Table: nt})
			}
			tgt.c.DelTable(nt)
			switch err := tgt.commit(); {
			case err == nil:
				return unix.ERESTART // the other family's is decided on what stands now
			case !errors.Is(err, unix.EBUSY): // that is a named object: not empty
				return err
			}
		}
		return nil
	})
}

// rawChains returns the chains of a raw table that ctview made and that is as iptables makes it, empty; none otherwise.
func rawChains(rs *ruleset.Ruleset, t *ruleset.Table) (chains []string) {
	if t.Name != "raw" || t.Flags != 0 {
		return nil
	}
	for i := range rs.Chains {
		c := &rs.Chains[i]
		switch {
		case c.Table != t.Name || c.Family != t.Family:
		case len(c.Rules) > 0, c.Base && (c.Policy != ruleset.VerdictAccept || c.Name != "PREROUTING" && c.Name != "OUTPUT"),
			!c.Base && c.Name != ruleset.MadeRaw:
			return nil
		default:
			chains = append(chains, c.Name)
		}
	}
	for s := range rs.Sets {
		if s.Table == t.Name && s.Family == t.Family {
			return nil
		}
	}
	if !slices.Contains(chains, ruleset.MadeRaw) {
		return nil
	}
	return chains
}
