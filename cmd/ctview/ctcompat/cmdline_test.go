package ctcompat

import (
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"ctview/model"
)

// quiet are the command letters that end by themselves and change nothing on an empty table.
var opLines = []string{"-L", "-G", "-D", "-I", "-A", "-U", "-F", "-C", "-S", "-V", "-h", "-L expect", "-G expect", "-D expect",
	"-I expect", "-F expect", "-C expect", "-S expect", "-L dying", "-L unconfirmed"}

// optionLines is every general option with a value that is right.
var optionLines = []string{"-s 1.1.1.1", "-d 1.1.1.2", "-r 1.1.1.2", "-q 1.1.1.1", "-p tcp", "-p 50", "-t 5", "-u ASSURED", "-z",
	"-e NEW", "--tuple-src 1.1.1.1", "--tuple-dst 1.1.1.2", "--mask-src 255.0.0.0", "--mask-dst 255.0.0.0", "-a x", "-m 5",
	"-i 5", "-f ipv4", "-f ipv6", "-n", "-g", "-n 1.2.3.4", "-g 1.2.3.4", "-o id", "-o xml", "-o save", "-b 5", "-j", "-w 5",
	"-l customer", "--label-add customer", "--label-del customer", "--label-del", "--orig-zone 5", "--reply-zone 5"}

// deviates reports whether ctview knowingly does something else with a command line; docs/conntrack-compat.md tells why.
func deviates(line string) bool {
	w := strings.Fields(line)
	has := func(opt string) bool { return slices.Contains(w, opt) }
	switch {
	case has("-V"): // the version line names ctview
		return true
	case has("-D") && !strings.HasPrefix(line, "-D expect"): // bare -D, -D -t
		filters := []string{"-s", "-d", "-r", "-q", "-p", "-m", "-u", "-i", "-n", "-g", "-w", "-l", "-f", "--orig-zone", "--reply-zone"}
		if !slices.ContainsFunc(filters, has) {
			return true
		}
		compares := slices.DeleteFunc(filters, func(s string) bool { return s == "-n" || s == "-g" || s == "-f" })
		return has("-t") && !slices.ContainsFunc(compares, has)
	case has("-c") && (has("-L") || has("-E")):
		return true
	case has("-z") && (has("-n") || has("-g") || has("-j")):
		return true
	case (has("-U") || has("-G")) && (has("-w") || has("--orig-zone") || has("--reply-zone")):
		return true
	case has("-F") && has("-f"):
		return true
	}
	return false
}

// TestLegality compares what conntrack says of every command with every option, and with every pair.
func TestLegality(t *testing.T) {
	w := newWorld(t)
	for _, op := range opLines {
		w.sameUnless(op)
		for i, a := range optionLines {
			w.sameUnless(op + " " + a)
			if i%4 != 0 && dumps(op) || i%2 != 0 {
				continue
			}
			for j := i + 1; j < len(optionLines); j += 19 {
				w.sameUnless(op + " " + a + " " + optionLines[j])
			}
		}
	}
}

// dumps reports whether a command reads the table: that walks all buckets of the machine's hash, twice per line.
func dumps(op string) bool {
	return op == "-L" || op == "-D" || op == "-U" || op == "-L dying" || op == "-L unconfirmed"
}

func (w *world) sameUnless(line string) {
	w.t.Helper()
	if !deviates(line) {
		w.same(line)
	}
}

// TestProtoLegality compares every option of every protocol with every command.
func TestProtoLegality(t *testing.T) {
	w := newWorld(t)
	tuple := map[string]string{"-G": " -s 1.1.1.1 -d 2.2.2.2", "-I": " -s 1.1.1.1 -d 2.2.2.2 -t 9", "-A": " -s 1.1.1.1 -d 2.2.2.2 -t 9",
		"-D": "", "-U": " -f ipv4", "-D expect": " -s 1.1.1.1 -d 2.2.2.2", "-G expect": " -s 1.1.1.1 -d 2.2.2.2",
		"-I expect": " -s 1.1.1.1 -d 2.2.2.2 -t 9 --tuple-src 1.1.1.1 --tuple-dst 2.2.2.2 --mask-src 255.255.255.255 --mask-dst 255.255.255.255"}
	for _, p := range protocols {
		for _, op := range opLines {
			if op == "-V" || op == "-L dying" || op == "-L unconfirmed" {
				continue
			}
			base := fmt.Sprintf("%s%s -p %s", op, tuple[op], p.name)
			if p.num != model.ProtoDCCP || op != "-I" && op != "-A" { // see TestDeviations
				w.same(base)
			}
			for i, o := range p.long {
				if dumps(op) && i%4 != 0 && (p.num != model.ProtoTCP && p.num != model.ProtoGRE) {
					continue
				}
				w.same(base + " --" + o.name + " " + goodValue(p, o))
			}
			if op == "-I" || op == "-A" || op == "-I expect" {
				continue
			}
			line := base
			for _, o := range p.long[:min(4, len(p.long))] { // the first options together
				line += " --" + o.name + " " + goodValue(p, o)
			}
			w.same(line)
		}
	}
}

func goodValue(p *protocol, o protoOption) string {
	switch p.fields[o.n] {
	case fState:
		return map[string]string{"tcp": "SYN_SENT", "sctp": "CLOSED", "dccp": "OPEN"}[p.name]
	case fRole:
		return "client"
	}
	return "5"
}

// TestWords compares spellings, values and errors.
func TestWords(t *testing.T) {
	w := newWorld(t)
	for line := range strings.Lines(wordLines) {
		if line = strings.TrimSpace(line); line != "" {
			w.same(line)
		}
	}
	w.same("")
}

// wordLines is one command line each; ” stands for an empty word, ~ for a blank in one.
//
//go:embed testdata/lines.txt
var wordLines string

// TestNoLabels compares what is said where connlabel.conf is missing, or names nothing.
func TestNoLabels(t *testing.T) {
	w := newWorld(t)
	lines := []string{"-L -o labels", "-L -o labels -o labels", "-L -l customer", "-L -l customer,x -o labels", "-U -f ipv4 --label-add x",
		"-U -f ipv4 --label-del x", "-U -f ipv4 --label-del", "-L -o labels -l x", "-L -l ''", "-E -l x", "-I --label-add x"}
	w.write(connlabelConf, "# nothing\n")
	for _, l := range lines {
		w.same(l)
	}
	if err := os.Remove(connlabelConf); err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		w.same(l)
	}
}
