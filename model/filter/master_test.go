package filter

import (
	"net/netip"
	"testing"

	"ctview/model"
)

func TestMasterAsksOfWhoAnnouncedTheFlow(t *testing.T) {
	as16 := func(s string) [16]byte { return netip.MustParseAddr(s).As16() }
	data := model.Flow{Key: model.Key{Src: as16("203.0.113.7"), Dst: as16("10.0.0.1"), Sport: 20, Dport: 40000,
		Proto: model.ProtoTCP, Family: model.IPv4}, Status: model.StatusExpected}
	extra := &model.Extra{Master: model.Tuple{Src: as16("10.0.0.1"), Dst: as16("203.0.113.7"), Sport: 50000, Dport: 21,
		Proto: model.ProtoTCP, Family: model.IPv4}}
	lone := data
	lone.Status = 0
	for _, tt := range []struct {
		text        string
		with, alone bool // whether the flow matches with that master, and without one
	}{
		{"master src 10.0.0.1", true, false},
		{"master src 203.0.113.7", false, false},
		{"master dst {203.0.113.7, 2001:db8::1}", true, false},
		{"master host 203.0.113.0/24", true, false},
		{"master dport 21", true, false},
		{"master dport {20, 21}", true, false},
		{"master sport 21", false, false},
		{"master port ftp", true, false},
		{"master dport != 21", false, true},
		{"not master dport 22", true, true},
		{"master src 2001:db8::/32", false, false},
	} {
		t.Run(tt.text, func(t *testing.T) {
			f, err := Parse(tt.text, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if with, alone := f.Match(&data, extra, 0), f.Match(&lone, nil, 0); with != tt.with || alone != tt.alone {
				t.Errorf("with its master %v, without one %v, want %v, %v", with, alone, tt.with, tt.alone)
			}
			if !f.NeedsExtra() || f.Kernel() != (model.KernelFilter{}) {
				t.Errorf("NeedsExtra %v, Kernel %+v, want the extra, and nothing for the kernel", f.NeedsExtra(), f.Kernel())
			}
			if n := testing.AllocsPerRun(10, func() { f.Match(&data, extra, 0) }); n != 0 {
				t.Errorf("Match allocates %v times", n)
			}
		})
	}
	for _, text := range []string{"master", "master tcp", "master bytes > 1", "master and tcp", "ct master src 10.0.0.1", "expected by", "by ftp",
		"master label 1", "expected by and tcp"} {
		if _, err := Parse(text, Options{}); err == nil {
			t.Errorf("%q is right", text)
		}
	}
	if _, err := RuleFromFilter("master src 10.0.0.1"); err == nil {
		t.Error("a NOTRACK rule takes a master's address")
	}
}

// TestMasterHelperIsKnownOfATable holds "expected by ftp" to what a table knows: the helper of a master that is in it,
// nothing of one that is gone, and no master of a flow that has none.
func TestMasterHelperIsKnownOfATable(t *testing.T) {
	data := model.Flow{Status: model.StatusExpected}
	extra := func(helper string, seen bool) *model.Extra {
		x := &model.Extra{Master: model.Tuple{Family: model.IPv4, Proto: model.ProtoTCP, Dport: 21}, MasterSeen: seen}
		x.MasterHelper = model.HelperFor([]byte(helper))
		return x
	}
	for _, tt := range []struct {
		name                        string
		flow                        model.Flow
		extra                       *model.Extra
		yes, no, none, notFTP, told bool // of ftp, sip, none, != ftp; whether ftp is known or not
	}{
		{"its helper", data, extra("ftp", true), true, false, false, false, true},
		{"another", data, extra("sip", true), false, true, false, true, true},
		{"without helper", data, extra("", true), false, false, true, true, true},
		{"master gone", data, extra("", false), false, false, false, false, false},
		{"an event that names no master", data, nil, false, false, false, false, false},
		{"no master", model.Flow{}, nil, false, false, false, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for text, want := range map[string]bool{"expected by ftp": tt.yes, "master helper sip": tt.no, "expected by none": tt.none,
				"master helper != ftp": tt.notFTP, "not expected by ftp": tt.notFTP, `master helper ~ "FT"`: tt.yes} {
				f := mustParse(t, text)
				match, unknown := f.MatchKnown(&tt.flow, tt.extra, 0)
				if match != want || unknown == tt.told {
					t.Errorf("%s: %v, unknown %v, want %v, %v", text, match, unknown, want, !tt.told)
				}
				if !f.NeedsMaster() || f.UnknownText(3, "flow") != "3 flows whose master is not known" {
					t.Errorf("%s: NeedsMaster %v, %q", text, f.NeedsMaster(), f.UnknownText(3, "flow"))
				}
			}
		})
	}
	if k := mustParse(t, "expected and zone 5 and expected by ftp").Kernel(); k != (model.KernelFilter{}) {
		t.Errorf("the kernel keeps masters back: %+v", k)
	}
}
