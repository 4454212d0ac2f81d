package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// measureRestore is P13: both programs read the same file into an empty table.
func measureRestore(ctx context.Context, p *plan, r *report) error {
	if !installed("conntrack") {
		r.row("P13", "conntrack", "not installed", "")
		return nil
	}
	n := min(100_000, p.flows)
	file := filepath.Join(p.dir, "save.txt")
	if err := os.WriteFile(file, saveLines(n), 0o600); err != nil {
		return err
	}
	var mine, theirs []usage
	once := func(to *[]usage, name string, args ...string) func() error {
		return func() error {
			s, err := newStage(ctx, 0)
			if err != nil {
				return err
			}
			defer s.close()
			u, err := run(s.ns, "", name, append(args, "-R", file)...)
			if err != nil {
				return err
			}
			*to = append(*to, u)
			made, err := flowsIn(s)
			if err == nil && made != n {
				r.row("P13", "  "+name+" made another number", fmt.Sprint(made), "DIFFER")
			}
			return err
		}
	}
	if err := alternate(ctx, max(p.runs, 2), once(&mine, p.ctview, "conntrack"), once(&theirs, "conntrack")); err != nil {
		return err
	}
	r.row("P13", fmt.Sprintf("ctview conntrack -R of %d lines", n), middle(mine).String(), "")
	r.row("P13", "  conntrack -R", middle(theirs).String(), "")
	r.goal("P13", "  wall, of conntrack -R", "", ratios(mine, theirs), 0.8, 2)
	return nil
}

// saveLines are n lines of a file of conntrack -o save, each of another flow.
func saveLines(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "-A -s 10.%d.%d.%d -d 192.0.2.1 -p tcp --sport %d --dport 443 --state ESTABLISHED -u SEEN_REPLY,ASSURED -t 3600\n",
			i>>16, i>>8&0xff, i&0xff, 1024+i%60000)
	}
	return []byte(b.String())
}
