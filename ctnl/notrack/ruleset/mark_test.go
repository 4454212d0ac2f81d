package ruleset

import "testing"

func FuzzParseTag(f *testing.F) {
	f.Add("ctview 3f2a1c orig by=root at=1795354000 keep=600 try=60 pid=4711")
	f.Add("ctview 3f2a1c reply : tcp 10.0.0.1:1 > any:80")
	f.Add("ctview v1")
	f.Fuzz(func(t *testing.T, s string) {
		tg, ok := ParseTag(s)
		if !ok {
			return
		}
		again, ok := ParseTag(tg.String())
		if tg.When != 0 && tg.Who != "" && (!ok || again != tg) { // without a time nothing of meta is written
			t.Errorf("%q → %+v → %q → %+v", s, tg, tg, again)
		}
	})
}

// FuzzMessages gives what the kernel could send to the decoders and to the writer of texts: nothing may panic or run away.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x08\x00\x01\x00raw\x00\x0c\x00\x03\x00ctview-1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 4 {
			return // request cuts those off
		}
		parseTable(b)
		parseChain(b)
		s, r := ParseSet(b), ParseRule(b)
		ParseElems(b)
		_ = RuleText(&Ruleset{Sets: map[SetName]*Set{s.SetName: s}}, &r)
	})
}
