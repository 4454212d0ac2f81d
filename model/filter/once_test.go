package filter

import (
	"testing"

	"ctview/model"
)

func TestOnceRefusesWhatTakesTwoReadings(t *testing.T) {
	for _, tt := range []struct {
		text     string
		pos, end int // of the word; 0, 0: the filter is right
	}{
		{"rate > 5Mbit", 0, 4},
		{"tcp and orig rate > 1k", 13, 17},
		{"not (udp or reply pps < 10)", 18, 21},
		{"@fast", 0, 4},
		{"bytes > 5M and avgpkt > 100", 0, 0},
	} {
		t.Run(tt.text, func(t *testing.T) {
			opt := Options{Saved: map[string]string{"fast": "rate > 1M"}}
			if _, err := Parse(tt.text, opt); err != nil {
				t.Fatalf("for the screen: %v", err)
			}
			opt.Once = true
			_, err := Parse(tt.text, opt)
			e, _ := err.(*Error)
			if tt.end == 0 {
				if err != nil {
					t.Errorf("error %v, want none", err)
				}
				return
			}
			if e == nil || tt.text != "@fast" && (e.Pos != tt.pos || e.End != tt.end) {
				t.Errorf("error %+v, want one at %d to %d", e, tt.pos, tt.end)
			}
		})
	}
}

func TestNATNone(t *testing.T) {
	for text, want := range map[string]string{
		"nat none": "not nat", "tcp and snat none": "tcp and not snat", "not dnat none": "dnat", "nat none udp": "not nat and udp",
	} {
		got, err := Parse(text, Options{})
		same, _ := Parse(want, Options{})
		if err != nil || got.String() != same.String() {
			t.Errorf("%s is %v (%v), want %v", text, got, err, same)
		}
	}
}

func TestSuggestionsBeginWithWhatFitsEveryProtocol(t *testing.T) {
	for _, tt := range []struct{ text, first string }{
		{"closed", "phase closed"}, {"closing", "phase closing"}, {"open", "phase open"}, {"time_wait", "state time_wait"},
	} {
		t.Run(tt.text, func(t *testing.T) {
			_, err := Parse(tt.text, Options{})
			if e, _ := err.(*Error); e == nil || len(e.Suggestions) == 0 || e.Suggestions[0] != tt.first {
				t.Errorf("%+v, want %q suggested first", err, tt.first)
			}
		})
	}
}

func TestAnEventHasTheAgeOfItsTime(t *testing.T) {
	const second = int64(1e9)
	known := model.Flow{Known: model.KnownStart, First: 100 * second}
	bare := model.Flow{}
	for _, tt := range []struct {
		name         string
		kind         model.Kind
		flow         model.Flow
		text         string
		match, unkwn bool
	}{
		{"a NEW without timestamps has no age", model.New, bare, "age < 1s", true, false},
		{"and so is not old", model.New, bare, "age > 1s", false, false},
		{"an UPDATE without timestamps does not tell", model.Update, bare, "age < 30s", false, true},
		{"a DESTROY tells the whole life", model.Destroy, known, "age = 50s", true, false},
		{"a NEW with a start has it from there", model.New, known, "age = 50s", true, false},
		{"a flow has ended with its DESTROY", model.Destroy, bare, "ended", true, false},
		{"and not before", model.Update, bare, "ended", false, false},
		{"what has not ended", model.Update, bare, "not ended", true, false},
		{"what has", model.Destroy, bare, "not ended", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse(tt.text, Options{})
			if err != nil {
				t.Fatal(err)
			}
			match, unknown := f.MatchEvent(tt.kind, &tt.flow, nil, 150*second)
			if match != tt.match || unknown != tt.unkwn {
				t.Errorf("MatchEvent = %v, %v, want %v, %v", match, unknown, tt.match, tt.unkwn)
			}
		})
	}
	if m, _ := (*Filter)(nil).MatchEvent(model.New, &bare, nil, 0); !m {
		t.Error("no filter does not match an event")
	}
}

// TestLivingRefusesWhatIsOfTheEnded: where only flows are judged that are there, what is of those that are gone is refused, not false.
func TestLivingRefusesWhatIsOfTheEnded(t *testing.T) {
	for _, tt := range []struct{ text, word string }{
		{"lived < 1s", "lived"}, {"ended", "ended"}, {"tcp and not ended 2m", "ended"}, {"@gone", "ended"}, {"age < 1s and phase closed", ""},
	} {
		opt := Options{Saved: map[string]string{"gone": "ended > 10s"}}
		if _, err := Parse(tt.text, opt); err != nil {
			t.Fatalf("%s, of events: %v", tt.text, err)
		}
		opt.Living = true
		_, err := Parse(tt.text, opt)
		e, _ := err.(*Error)
		if tt.word == "" && err != nil || tt.word != "" && (e == nil || tt.text != "@gone" && tt.text[e.Pos:e.End] != tt.word) {
			t.Errorf("%s: %v, want an error at %q", tt.text, err, tt.word)
		}
	}
}
