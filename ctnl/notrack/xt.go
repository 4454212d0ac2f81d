package notrack

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// An xtRule is one "-A" line of iptables-save.
type xtRule struct {
	v6    bool
	table string
	chain string
	args  []string // what follows the chain
	line  string
	pk    uint64
	by    uint64
}

// An xtChain is a ":NAME POLICY" line.
type xtChain struct {
	v6     bool
	table  string
	name   string
	policy string // "-" for chains made by a user
}

// tracks reports whether the rule makes the namespace track connections.
func (r *xtRule) tracks() bool {
	for i, a := range r.args {
		if (a == "-m" || a == "-j") && i+1 < len(r.args) && trackingXT[r.args[i+1]] {
			return !(r.args[i+1] == "CT" && slices.Contains(r.args, "--notrack"))
		}
	}
	return false
}

// legacyTables returns the legacy tables that exist in the namespace: /proc/net/ip_tables_names names them without
// creating any.
func legacyTables(ns Namespace, v6 bool) []string {
	f := "/proc/thread-self/net/ip_tables_names"
	if v6 {
		f = "/proc/thread-self/net/ip6_tables_names"
	}
	return strings.Fields(readIn(ns, f))
}

// legacyRules returns the rules of the legacy tables. iptables-legacy-save is asked only for tables that exist: it would
// create the others. Where the program is missing the answer is empty.
func legacyRules(ns Namespace) []xtRule {
	rules, _ := legacyRead(ns)
	return rules
}

// legacySave are the programs that read legacy tables, by whether they are those of IPv6.
var legacySave = map[bool]string{false: "iptables-legacy-save", true: "ip6tables-legacy-save"}

func legacyRead(ns Namespace) (rules []xtRule, chains []xtChain) {
	for _, v6 := range [...]bool{false, true} {
		prog := legacySave[v6]
		for _, t := range legacyTables(ns, v6) {
			out, err := run(context.Background(), ns, nil, prog, "-c", "-t", t)
			if err != nil {
				continue
			}
			r, c := parseSave(string(out), v6)
			rules, chains = append(rules, r...), append(chains, c...)
		}
	}
	return rules, chains
}

// parseSave reads the output of iptables-save, with or without counters.
func parseSave(text string, v6 bool) (rules []xtRule, chains []xtChain) {
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":"):
			if f := strings.Fields(line[1:]); len(f) >= 2 {
				chains = append(chains, xtChain{v6, table, f[0], f[1]})
			}
		default:
			r := xtRule{v6: v6, table: table, line: line}
			if strings.HasPrefix(line, "[") {
				end := strings.Index(line, "] ")
				if end < 0 {
					continue
				}
				_, _ = fmt.Sscanf(line[:end+1], "[%d:%d]", &r.pk, &r.by)
				r.line = line[end+2:]
			}
			w := shellWords(r.line)
			if len(w) < 2 || w[0] != "-A" {
				continue
			}
			r.chain, r.args = w[1], w[2:]
			rules = append(rules, r)
		}
	}
	return rules, chains
}

// shellWords splits a line of iptables-save: words in double quotes may hold blanks and escaped quotes.
func shellWords(s string) []string {
	var ws []string
	var b []byte
	in, quoted := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\' && i+1 < len(s):
			i++
			b = append(b, s[i])
		case c == '"':
			quoted, in = !quoted, true
		case c == ' ' && !quoted:
			if in {
				ws, b, in = append(ws, string(b)), b[:0], false
			}
		default:
			b, in = append(b, c), true
		}
	}
	if in {
		ws = append(ws, string(b))
	}
	return ws
}

// commandTimeout bounds one run of an iptables program.
const commandTimeout = 15 * time.Second

// run executes a program in the namespace. Nothing of the user's environment but PATH reaches it.
func run(ctx context.Context, ns Namespace, stdin []byte, name string, args ...string) ([]byte, error) {
	path, err := lookTool(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL=C"}
	if stdin != nil {
		cmd.Stdin = strings.NewReader(string(stdin))
	}
	var out, diag strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := ns.Do(cmd.Start); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := cmd.Wait(); err != nil {
		text := strings.TrimSpace(diag.String())
		if strings.Contains(text, "Permission denied") || strings.Contains(text, "you must be root") {
			return nil, fmt.Errorf("%s: %w", name, ErrPermission)
		}
		return nil, fmt.Errorf("%s: %w: %s", name, err, text)
	}
	return []byte(out.String()), nil
}

// lookTool finds a program where administrators' programs are, whatever PATH says.
func lookTool(name string) (string, error) {
	for _, d := range [...]string{"/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/", "/usr/local/sbin/"} {
		if p, err := exec.LookPath(d + name); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}
