package notrack

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/user"
	"slices"
	"sync"
	"time"

	"ctview/ctnl"
	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// Errors that a caller can act on.
var (
	ErrPermission = ctnl.ErrPermission // CAP_NET_ADMIN is missing
	ErrNoBackend  = errors.New("neither nf_tables nor iptables is there")
	ErrExists     = errors.New("such a rule exists")
	ErrOverlap    = errors.New("a tuple belongs to one rule only")
	ErrNoRule     = errors.New("no such rule")
	ErrNotOurs    = errors.New("not made by this ctview")
	ErrUnread     = ruleset.ErrUnread // rules are there that cannot be read
)

// Options say how to open an Installer.
type Options struct {
	// Backend is "nftables", "iptables" (whichever iptables-restore is), "iptables-nft", "iptables-legacy", or "" for
	// nftables where the kernel has it and iptables where not.
	Backend string
	// Who is shown as the maker of rules; "" is the user, behind sudo the one who called it.
	Who string
}

// An Installer installs and lists NOTRACK rules in one network namespace. It is safe for concurrent use. Rules of the session
// end when it is closed.
type Installer struct {
	ns  ruleset.Namespace
	who string
	mu  sync.Mutex // one change at a time
	be  backend
	why string
	// others are the backends, by name, in which rules were found beside be.
	others map[string]backend
	// undo are this Installer's changes, the last at the end: the rules that it removed, or none where it installed one.
	undo [][]model.NotrackRule
	// taken are the rules that this Installer removed while somebody watches for losses; bounded.
	taken []string
}

// A backend keeps groups of rules in the kernel. Calls are serialised by Installer.
type backend interface {
	name() string
	// check refuses rules that the backend cannot express.
	check(rules []model.Rule) error
	// add installs g for its trial time. Nothing is changed where it fails.
	add(ctx context.Context, g *group) error
	// share moves a rule of this process's session to where it outlives the process.
	share(ctx context.Context, r *model.NotrackRule, keep model.Keep, life time.Duration) error
	// extend gives rule id a new life from now on; 0 is for ever.
	extend(ctx context.Context, id string, life time.Duration) error
	remove(ctx context.Context, ids []string) error
	list(ctx context.Context) ([]model.NotrackRule, error)
	// commands returns g as commands for a shell: pasted, setup first, they make what add makes. A line that begins with
	// "#" stands for what the program's language cannot say.
	commands(g *group) (setup, rules []string, err error)
	// sweep removes what is left of rules that have expired.
	sweep(ctx context.Context) error
	// beat gives more time to confirmed rules of the session that would otherwise expire.
	beat(ctx context.Context) error
	// sessionLife is the life that confirming gives a rule of the session: 0 where the kernel ties it to the process.
	sessionLife() time.Duration
	close() error
}

// A group is what one request installs under one name.
type group struct {
	id    string
	rules []model.Rule
	life  time.Duration // for now: the trial, or what follows; 0 is for ever
	ruleset.Meta
}

// Open picks a backend. It changes nothing and makes no table. A nil ns is the namespace of the caller's thread.
func Open(ns ruleset.Namespace, opt Options) (*Installer, error) {
	if ns == nil {
		ns = ruleset.Here{}
	}
	c := &Installer{ns: ns, who: opt.Who}
	if c.who == "" {
		c.who = caller()
	}
	var err error
	c.be, c.why, err = pick(ns, opt.Backend)
	return c, err
}

// Close ends the session: its rules are gone.
func (c *Installer) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := []error{c.be.close()}
	for _, b := range c.others {
		errs = append(errs, b.close())
	}
	return errors.Join(errs...)
}

// Backend returns the backend's name and why it was picked.
func (c *Installer) Backend() (name, why string) { return c.be.name(), c.why }

// pick chooses the backend without creating anything: the question for the ruleset's generation is answered by every
// kernel with nf_tables, and iptables -L, which would load tables, is not run.
func pick(ns ruleset.Namespace, want string) (backend, string, error) {
	switch want {
	case "", "nftables", "nft":
		rd, err := ruleset.Dial(ns)
		if err != nil {
			return nil, "", err
		}
		_, err = rd.Generation()
		if err == nil {
			why := "nf_tables answers"
			if want != "" {
				why = "asked for"
			}
			return &nft{ns: ns, rd: rd}, why, nil
		}
		rd.Close()
		if err := ruleset.Wrap("probe nf_tables", err); want != "" || errors.Is(err, ErrPermission) {
			return nil, "", err
		}
		be, _, err := pickIptables(ns, "iptables")
		if errors.Is(err, errNoPrograms) {
			err = fmt.Errorf("notrack: %w: install iptables", ErrNoBackend)
		}
		return be, "the kernel has no nf_tables", err
	case "iptables", "iptables-nft", "iptables-legacy":
		return pickIptables(ns, want)
	}
	return nil, "", fmt.Errorf("notrack: unknown backend %q: nftables, iptables, iptables-nft or iptables-legacy", want)
}

// caller returns who to show as the maker of a rule.
func caller() string {
	if s := os.Getenv("SUDO_USER"); s != "" {
		return ruleset.Word(s)
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return ruleset.Word(u.Username)
	}
	return fmt.Sprint("uid", os.Getuid())
}

// ID returns the name of a set of rules: the same for the same matches, in whatever order they come.
func ID(rules []model.Rule) string {
	texts := make([]string, len(rules))
	for i := range rules {
		texts[i] = rules[i].String()
	}
	slices.Sort(texts)
	h := fnv.New32a()
	for _, t := range texts {
		_, _ = h.Write([]byte(t))
		_, _ = h.Write([]byte{'\n'})
	}
	return fmt.Sprintf("%06x", h.Sum32()>>8^h.Sum32()&0xff)
}
