package states

import (
	"testing"

	"github.com/mdlayher/netlink"

	"ctview/ctnl/notrack/ruleset"
	"ctview/model"
)

// logMessage is what nfnetlink_log sends of a packet, without the header of the message.
func logMessage(t testing.TB, seq byte, prefix string, payload []byte) []byte {
	t.Helper()
	b, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: nfulaPacketHdr, Data: []byte{8, 0, 1, 0}},
		{Type: nfulaPrefix, Data: append([]byte(prefix), 0)},
		{Type: nfulaSeq, Data: []byte{0, 0, 0, seq}},
		{Type: nfulaPayload, Data: payload},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBrokenSampleIsCounted: what cannot be read is counted with what was lost, never shown by half.
func TestBrokenSampleIsCounted(t *testing.T) {
	whole := logMessage(t, 1, prefixInvalid, packets(t)[0])
	for _, tt := range []struct {
		name string
		b    []byte
		ok   bool
		lost uint64
	}{
		{"whole", whole, true, 0},
		{"half a header behind it", append(whole[:len(whole):len(whole)], 8, 0), false, 1},
		{"cut in the payload", whole[:len(whole)-8], false, 1},
		{"no state", logMessage(t, 1, "somebody else's", packets(t)[0]), false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &nflog{names: ruleset.NewIfNames(nowhere{})}
			s, ok := l.sample(tt.b)
			if ok != tt.ok || l.lost != tt.lost {
				t.Errorf("shown %v, lost %d; want %v, %d", ok, l.lost, tt.ok, tt.lost)
			}
			if ok && (s.State != model.CtInvalid || s.Hook != 1 || s.Seq != 1) {
				t.Errorf("%+v", s)
			}
		})
	}
}

func FuzzSample(f *testing.F) {
	for _, b := range packets(f) {
		f.Add(logMessage(f, 1, prefixUntracked, b))
		f.Add(logMessage(f, 9, "nf_ct_tcp: SEQ is over the upper bound ", b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l := &nflog{names: ruleset.NewIfNames(nowhere{})}
		if s, ok := l.sample(b); ok && s.State == 0 {
			t.Error("a sample without a state")
		}
	})
}

// nowhere is a namespace in which nothing is done.
type nowhere struct{}

func (nowhere) Do(func() error) error { return nil }
