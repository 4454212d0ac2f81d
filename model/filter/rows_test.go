package filter

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ctview/model"
)

func TestAndFilter(t *testing.T) {
	for _, tt := range []struct {
		old, add string
		negate   bool
		want     string
	}{
		{"", "zone 5", false, "zone 5"},
		{"", "zone 5", true, "not zone 5"},
		{"  ", "tcp or udp", false, "(tcp or udp)"},
		{"tcp", "", false, "tcp"},
		{"tcp", "zone 5", false, "tcp and zone 5"},
		{"tcp", "zone 5", true, "tcp and not zone 5"},
		{"tcp or udp", "zone 5", false, "(tcp or udp) and zone 5"},
		{"tcp dport 5", "zone 5", false, "tcp dport 5 and zone 5"},
		{"not tcp", "snat and dnat", false, "not tcp and snat and dnat"},
		{"tcp", "snat and dnat", true, "tcp and not (snat and dnat)"},
		{"tcp", "not nat", true, "tcp and not (not nat)"},
		{"tcp", "tcp or udp", false, "tcp and (tcp or udp)"},
		{"tcp and zone 5", "zone = 5", false, "tcp and zone 5"}, // said already
		{"tcp and not zone 5", "zone 5", true, "tcp and not zone 5"},
		{"tcp and zone 5", "zone 5", true, "tcp and zone 5 and not zone 5"},
		{"@noisy", "zone 5", false, "@noisy and zone 5"},
		{"@noisy and tcp", "@noisy", false, "@noisy and tcp"},
		{"label voip", "label bulk", false, "label voip and label bulk"},
		{"dport ours", "dport theirs", false, "dport ours and dport theirs"},
		{"tcp or udp and nat", "zone 5", false, "(tcp or udp and nat) and zone 5"}, // its error stays its error
	} {
		if got := And(tt.old, tt.add, tt.negate); got != tt.want {
			t.Errorf("And(%q, %q, %v) = %q, want %q", tt.old, tt.add, tt.negate, got, tt.want)
		}
	}
}

// The meaning of And on random filters: both must hold.
func TestAndFilterMeaning(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		old, add, negate := randomFilter(r, 2), randomFilter(r, 2), r.IntN(2) == 0
		f, g := mustParse(t, old), mustParse(t, add)
		both := mustParse(t, And(old, add, negate))
		for range 10 {
			fl, x := randomFlow(r)
			term := slowEval(g.root, fl, x, testNow)
			if negate {
				term = isTrue - term
			}
			want := min(slowEval(f.root, fl, x, testNow), term) == isTrue
			if got := both.Match(fl, x, testNow); got != want {
				t.Fatalf("And(%q, %q, %v) = %q: matches %v, want %v", old, add, negate, both.Text(), got, want)
			}
		}
	}
}

func mustParse(t *testing.T, text string) *Filter {
	t.Helper()
	f, err := Parse(text, testOptions)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

// Whatever a row offers as a filter matches the row.
func TestValueFilterMatchesItsRow(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		fl, x := randomFlow(r)
		row := model.Row{Flow: *fl}
		if x != nil {
			row.Extra = *x
		}
		texts := []string{byPrefix(model.ColSrc, &row), byPrefix(model.ColReplyDst, &row)}
		for _, c := range model.Columns() {
			if s := ByValue(c, &row); s != "" {
				texts = append(texts, s)
			}
		}
		for _, rf := range ByRow(&row) {
			texts = append(texts, rf.Text)
		}
		for _, s := range texts {
			if !mustParse(t, s).Match(&row.Flow, &row.Extra, testNow) {
				t.Fatalf("%s does not match its row\n%+v", s, row)
			}
		}
	}
}

func TestRowFilters(t *testing.T) {
	row := model.Row{Flow: model.Flow{Key: model.Key{Src: model.AddrBytes(netip.MustParseAddr("192.168.1.10")), Dst: model.AddrBytes(netip.MustParseAddr("203.0.113.7")),
		Sport: 51022, Dport: 443, Zone: 5, Proto: model.ProtoTCP, Family: model.IPv4}, Known: model.KnownState, State: model.TCPSynSent, Mark: 0x10}}
	row.Flow.ReplySrc, row.Flow.ReplyDst = row.Flow.Dst, model.AddrBytes(netip.MustParseAddr("198.51.100.2"))
	row.Flow.ReplySport, row.Flow.ReplyDport = 443, 51022
	want := []Named{
		{"state", "state syn_sent"}, {"zone", "zone 5"}, {"helper", "helper none"}, {"src", "src 192.168.1.10"},
		{"src/24", "src 192.168.1.0/24"}, {"dst", "dst 203.0.113.7"}, {"dst/24", "dst 203.0.113.0/24"}, {"sport", "sport 51022"},
		{"dport", "dport 443"}, {"proto", "tcp"}, {"mark", "mark 0x10"}, {"ct state", "ct state new"}, {"nat", "snat"},
		{"labels", "label none"}, {"secctx", "secctx none"}, {"reply dst", "reply dst 198.51.100.2"},
	}
	if diff := cmp.Diff(want, ByRow(&row)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
