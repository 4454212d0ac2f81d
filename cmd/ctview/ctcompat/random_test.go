package ctcompat

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// randomLines is how many random command lines are compared.
const randomLines = 500

// vocabulary is what random command lines are made of: right options more often than wrong ones. Nothing that ctview
// knowingly takes otherwise is in it (see TestDeviations).
var vocabulary = strings.Split(strings.TrimSpace(`
-s 10.0.0.1
-s 10.0.0.0/24
-s fd00::/64
--src=10.0.0.1
--orig-src 10.0.0.1
--sr 10.0.0.1
-d 10.0.0.2
-d10.0.0.2
--dst fd00::2
-r 10.0.0.2
-q 10.0.0.1
--reply-src 192.0.2.8
-p tcp
-p udp
-p icmp
-p sctp
-p gre
-p 50
-ptcp
--protonum tcp
--proto udp
--sport 1003
--sport 3000
--dport 80
--dport=53
--orig-port-dst 80
--reply-port-src 80
--reply-port-s 80
--state ESTABLISHED
--state SYN_SENT
--icmp-type 8
--icmp-id 13
--icmp-t 8
-u ASSURED
-u SEEN_REPLY
-u UNREPLIED
--status ASSURED
--stat ASSURED
-m 5
-m 1/1
--mark 0
-w 5
--zone 0
--orig-zone 7
-f ipv4
-f ipv6
--fam ipv4
-o id
-o extended
-oid
--output extended,ktimestamp
-o ktimestamp
-l customer
--label eth0-in
-z
-t 999
-n
-g
-n 192.0.2.7
-i 5
-e NEW
-b 5
-j
--mask-src 255.255.0.0
--mask-dst 255.0.0.0
--tuple-src 1.1.1.1
--label-add customer
-a x
junk
--
--bogus
-x
-
-L
-C
-V
-h
conntrack
expect
-s
-p
-s foo
-p foo
-o foo
-u foo
-f foo
-l foo
--
`), "\n")

// TestRandom compares random command lines on a table that has everything. CTCOMPAT_SEED makes other ones.
func TestRandom(t *testing.T) {
	w := newWorld(t)
	w.seed(seedLines())
	w.rareFlows()
	seed := uint64(5)
	if s := os.Getenv("CTCOMPAT_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	for range randomLines {
		words := []string{[]string{"-L", "-L", "-L", "-L", "-L conntrack", "--dump", "-G", "-C", "-S", "-h", "-L expect", "-L dying"}[rng.IntN(12)]}
		for range 1 + rng.IntN(5) {
			words = append(words, vocabulary[rng.IntN(len(vocabulary))])
		}
		rng.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		line := strings.Join(words, " ")
		if knownOtherwise(line) {
			continue
		}
		w.sameAs(line, maskStats)
	}
}

// knownOtherwise reports whether the words of a random line meet in a way that ctview knowingly takes otherwise.
func knownOtherwise(line string) bool {
	has := func(s string) bool { return strings.Contains(" "+line+" ", " "+s) }
	switch {
	case deviates(line):
		return true
	case has("-V"), has("-m") && (has("-u") || has("--stat")), has("--mark") && (has("-u") || has("--stat")):
		return true
	case strings.Count(line, "-u ")+strings.Count(line, "--stat") > 1: // several -u
		return true
	case (has("-n") || has("-g ") || has("-j")) && !has("-p tcp") && !has("-ptcp"): // ICMP, IPv6 and address bugs
		return true
	case has("-p sctp") && has("--state SYN_SENT"): // conntrack crashes
		return true
	case has("-p gre"): // keys
		return true
	case strings.Count(line, "-p")+strings.Count(line, "--proto") > 1 && (has("--s") || has("--d") || has("--r") || has("--i")):
		return true // options of one protocol taken for those of another
	}
	return false
}

func FuzzParse(f *testing.F) {
	for line := range strings.Lines(wordLines) {
		f.Add(strings.ReplaceAll(strings.TrimSpace(line), " ", "\x00"), false)
	}
	f.Fuzz(func(t *testing.T, words string, posix bool) {
		var warn strings.Builder
		c, err := newParser(posix, "/does/not/exist", &warn).parse(append([]string{"conntrack"}, strings.Split(words, "\x00")...))
		if err == nil && c == nil {
			t.Fatal("no command and no error")
		}
		if err != nil {
			if _, ok := err.(*exitError); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if c.op == opDelete && !c.opts.has(optComparison|optSrcNAT|optDstNAT|optFamily) {
			t.Fatalf("%q would delete every entry", words)
		}
	})
}

func FuzzSplitWords(f *testing.F) {
	for _, s := range restoreFiles {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := splitWords(line)
		if err == nil && len(words) > maxWords {
			t.Fatalf("%d words", len(words))
		}
	})
}
