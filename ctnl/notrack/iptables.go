package notrack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// iptables keeps rules in the raw table with "-j CT --notrack". Comments carry what set elements carry in nftables;
// "-m time" makes a rule stop matching by itself, to the second, by the wall clock: at its end, and where the clock is set
// back to before its beginning, or setting it back would prolong its life.
type iptables struct {
	ns      ruleset.Namespace
	variant string // "iptables-nft" or "iptables-legacy"
	prog    string // "iptables", "iptables-nft", …: what -restore and -save are appended to
}

var errNoPrograms = errors.New("the programs of iptables are missing")

// pickIptables finds the programs. Asking for their version touches no table.
func pickIptables(ns ruleset.Namespace, want string) (backend, string, error) {
	b := &iptables{ns: ns, prog: want, variant: want}
	out, err := ruleset.Run(context.Background(), ns, nil, want+"-restore", "-V")
	if errors.Is(err, exec.ErrNotFound) {
		return nil, "", fmt.Errorf("notrack: %w: there is no %s-restore (install iptables)", errNoPrograms, want)
	}
	if err != nil {
		return nil, "", fmt.Errorf("notrack: %w", err)
	}
	if want == "iptables" {
		b.variant = "iptables-legacy"
		if strings.Contains(string(out), "nf_tables") {
			b.variant = "iptables-nft"
		}
	}
	return b, "asked for", nil
}

func (b *iptables) name() string { return b.variant }

// tool names a program of a family: iptables-restore, ip6tables-legacy-save, …
func (b *iptables) tool(f model.Family, what string) string {
	p := b.prog
	if f == model.IPv6 {
		p = "ip6" + strings.TrimPrefix(p, "ip")
	}
	return p + "-" + what
}

func (b *iptables) check(rules []model.Rule) error { return xtSays(rules) }

// expiry is the last second in which a rule matches.
func expiry(life time.Duration) time.Time { return time.Now().Add(life).UTC().Truncate(time.Second) }

const stampForm = "2006-01-02T15:04:05"

// clockSlack is how far the clock may be set back, as when it is being adjusted, before rules that were just made end.
const clockSlack = 5 * time.Second

// leftBetween returns how long a rule with these dates still matches, by the wall clock; nothing if it does not now. A zero
// stop is for ever, which is not told here; a zero start has always begun.
func leftBetween(start, stop time.Time) time.Duration {
	if time.Now().Before(start) {
		return 0
	}
	return max(0, time.Until(stop.Add(time.Second)))
}

// extra writes the options that every rule of ctview's has; life 0 is for ever.
func extra(t ruleset.Tag, life time.Duration) string {
	s := ""
	if life > 0 {
		s = " -m time --datestart " + expiry(-clockSlack).Format(stampForm) + " --datestop " + expiry(life).Format(stampForm)
	}
	return s + fmt.Sprintf(" -m comment --comment %q", t)
}

// lines writes the "-A" lines of a group for one family, in the raw table.
func (b *iptables) lines(g *group, f model.Family, life time.Duration) []string {
	var out []string
	for _, r := range g.rules {
		for dir, d := range r.Directions() {
			d.OneWay = true
			x := extra(ruleset.Tag{ID: g.id, Dir: dir, Rule: r.String(), Meta: g.Meta}, life)
			for _, l := range xtLines(&d, f, x) {
				if strings.HasPrefix(l, "-A PREROUTING") && d.Iface == "" {
					// What comes from the loopback interface went through OUTPUT before.
					l = strings.Replace(l, "-A PREROUTING", "-A PREROUTING ! -i lo", 1)
				}
				out = append(out, l)
			}
		}
	}
	return out
}

func (b *iptables) commands(g *group) (setup, rules []string, err error) {
	made := b.lacksRaw()
	for _, f := range [...]model.Family{model.IPv4, model.IPv6} {
		prog := strings.TrimSuffix(b.tool(f, ""), "-") + " -t raw "
		lines := b.lines(g, f, g.life)
		if len(lines) > 0 && len(made[f]) > 0 {
			setup = append(setup, prog+"-N "+ruleset.MadeRaw)
		}
		for _, l := range lines {
			rules = append(rules, prog+"-I"+strings.TrimPrefix(l, "-A"))
		}
	}
	return setup, rules, nil
}

// restore changes the raw table of one family in one transaction.
func (b *iptables) restore(ctx context.Context, f model.Family, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	args := []string{"--noflush"}
	if b.variant == "iptables-legacy" {
		args = append(args, "-w", "5")
	}
	_, err := ruleset.Run(ctx, b.ns, []byte("*raw\n"+strings.Join(lines, "\n")+"\nCOMMIT\n"), b.tool(f, "restore"), args...)
	if err != nil {
		return fmt.Errorf("notrack: %w", err)
	}
	return nil
}

// insert turns "-A CHAIN" lines into insertions at the head: the first CT target that a packet meets decides.
func insert(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		w := strings.SplitN(l, " ", 3)
		out[i] = "-I " + w[1] + " 1 " + w[2]
	}
	return out
}

func (b *iptables) add(ctx context.Context, g *group) error {
	have, err := b.read(ctx)
	if err != nil {
		return err
	}
	if r := have.find(g.id); r != nil {
		return fmt.Errorf("notrack: rule %s (%s): %w", g.id, r.Text(), ErrExists)
	}
	made := b.lacksRaw()
	done := []model.Family{}
	for _, f := range [...]model.Family{model.IPv4, model.IPv6} {
		lines := b.lines(g, f, g.life)
		if len(lines) == 0 {
			continue
		}
		if err := b.restore(ctx, f, append(made[f][:len(made[f]):len(made[f])], insert(lines)...)); err != nil {
			for _, f := range done { // the two families are two transactions: take the first one back
				_ = b.drop(ctx, f, g.id)
			}
			return err
		}
		done = append(done, f)
	}
	return nil
}

// drop deletes the rules of an id in one family.
func (b *iptables) drop(ctx context.Context, f model.Family, id string) error {
	have, err := b.read(ctx)
	if err != nil {
		return err
	}
	return b.restore(ctx, f, deletions(have.lines[id][f]))
}

// deletions turns lines of iptables-save into deletions by exact specification.
func deletions(rules []ruleset.XTRule) []string {
	var out []string
	for i := range rules {
		out = append(out, "-D"+strings.TrimPrefix(rules[i].Line, "-A"))
	}
	return out
}

// extend replaces the rules of an id by the same with another end; their counters begin anew.
func (b *iptables) extend(ctx context.Context, id string, life time.Duration) error {
	return b.replace(ctx, id, life, func(*ruleset.Meta) {})
}

// share takes the mark of the session off a rule.
func (b *iptables) share(ctx context.Context, r *model.NotrackRule, keep model.Keep, life time.Duration) error {
	return b.replace(ctx, r.ID, life, func(m *ruleset.Meta) { m.Owner, m.Keep = 0, keep })
}

// again repeats a change by exact specification that failed, because somebody changed the same lines after they were read.
func again(fn func() error) (err error) {
	for range 3 {
		if err = fn(); err == nil || errors.Is(err, ErrNoRule) || errors.Is(err, ErrNotOurs) || errors.Is(err, ErrPermission) {
			return err
		}
	}
	return err
}

func (b *iptables) replace(ctx context.Context, id string, life time.Duration, change func(*ruleset.Meta)) error {
	return again(func() error { return b.replaceOnce(ctx, id, life, change) })
}

func (b *iptables) replaceOnce(ctx context.Context, id string, life time.Duration, change func(*ruleset.Meta)) error {
	in, err := b.read(ctx)
	if err != nil {
		return err
	}
	r := in.find(id)
	if r == nil {
		return fmt.Errorf("notrack: %s: %w", id, ErrNoRule)
	}
	g := &group{id: id, rules: r.Rules, life: life, Meta: in.tags[id].Meta}
	g.Trial = 0 // confirmed
	change(&g.Meta)
	for _, f := range [...]model.Family{model.IPv4, model.IPv6} {
		if len(in.lines[id][f]) == 0 {
			continue
		}
		lines := append(insert(b.lines(g, f, life)), deletions(in.lines[id][f])...)
		if err := b.restore(ctx, f, lines); err != nil {
			return err
		}
	}
	return nil
}

func (b *iptables) remove(ctx context.Context, ids []string) error {
	return again(func() error { return b.removeOnce(ctx, ids) })
}

func (b *iptables) removeOnce(ctx context.Context, ids []string) error {
	in, err := b.read(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		r := in.find(id)
		switch {
		case r == nil:
			return fmt.Errorf("notrack: %s: %w", id, ErrNoRule)
		case r.Owner != 0 && !r.Mine && pidAlive(r.Owner):
			return fmt.Errorf("notrack: %s belongs to another ctview (pid %d): %w", id, r.Owner, ErrNotOurs)
		}
	}
	for _, f := range [...]model.Family{model.IPv4, model.IPv6} {
		var lines []string
		for _, id := range ids {
			lines = append(lines, deletions(in.lines[id][f])...)
		}
		if err := b.restore(ctx, f, lines); err != nil {
			return err
		}
	}
	return nil
}

// pidAlive reports whether a process of that PID exists, as far as this PID namespace shows.
func pidAlive(pid uint32) bool {
	_, err := os.Stat(fmt.Sprint("/proc/", pid))
	return err == nil
}

// sweep deletes rules that have expired, and raw tables that ctview made and nobody uses.
func (b *iptables) sweep(ctx context.Context) error {
	in, err := b.read(ctx)
	if err != nil {
		return err
	}
	for f, rules := range in.dead {
		if err := b.restore(ctx, f, deletions(rules)); err != nil {
			return err
		}
	}
	if b.variant != "iptables-nft" {
		return nil // a legacy table stays for as long as its namespace: the kernel has no way to delete it
	}
	return b.dropRaw()
}

func (b *iptables) sessionLife() time.Duration { return lease }

// beat extends the confirmed rules of this process's session.
func (b *iptables) beat(ctx context.Context) error {
	return b.mine(ctx, func(id string) error { return b.extend(ctx, id, lease) })
}

func (b *iptables) mine(ctx context.Context, fn func(id string) error) error {
	in, err := b.read(ctx)
	if err != nil {
		return err
	}
	for i := range in.rules {
		if in.rules[i].Mine && in.rules[i].Owner != 0 && (!in.rules[i].Pending) {
			if err := fn(in.rules[i].ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// close removes the session's rules, confirmed or not.
func (b *iptables) close() error {
	ctx := context.Background()
	in, err := b.read(ctx)
	if err != nil {
		return err
	}
	var ids []string
	for i := range in.rules {
		if in.rules[i].Mine && in.rules[i].Owner != 0 {
			ids = append(ids, in.rules[i].ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return errors.Join(b.remove(ctx, ids), b.sweep(ctx))
}
