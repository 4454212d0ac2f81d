package lab_test

import (
	"testing"

	"ctview/ctnl"
	"ctview/ctnl/lab"
	"ctview/model"
	"ctview/model/filter"
)

// Everything that a flow can carry is carried by one of the lab's, as the product's own decoder reads it.
func TestWhatFlowsCarry(t *testing.T) {
	ctx := t.Context()
	l, err := lab.New(ctx, lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	// Not translated: the kernel loads the helper's part for NAT only when asked to.
	ftp, err := l.FTP(ctx, lab.From{Zone: 5})
	if err != nil {
		t.Fatal(err)
	}
	data, err := ftp.Get(ctx, true, 1000, 0)
	if err != nil {
		t.Fatal(err)
	}
	dns, err := l.DNS(ctx, lab.From{V6: true, Zone: 7})
	if err != nil {
		t.Fatal(err)
	}
	ns, err := ctnl.OpenNetns(l.Router().Path())
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	flows := map[model.Key]model.Event{}
	err = ctnl.DumpTo(ctx, ns, model.KernelFilter{}, func(batch []model.Event) error {
		for _, e := range batch {
			flows[e.Flow.Key] = e
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		key    model.Key
		helper string
		label  int
		mark   uint32
		status model.Status
		master model.Key
	}{
		{"ftp", ftp.Key, "ftp", lab.LabelFTP, lab.MarkFTP, model.StatusAssured, model.Key{}},
		{"ftp data", data, "", -1, lab.MarkFTP, model.StatusAssured | model.StatusExpected, ftp.Key},
		{"dns", dns, "", lab.LabelDNS, lab.MarkDNS, 0, model.Key{}},
	}
	announced, err := filter.Parse("expected and master dport {21, 5060}", filter.Options{}) // as docs/filter.md has it
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		e, ok := flows[tt.key]
		if !ok {
			t.Errorf("%s: no flow %+v", tt.name, tt.key)
			continue
		}
		f := &e.Flow
		if f.Helper.String() != tt.helper || f.Mark != tt.mark || !f.Status.Has(tt.status|model.StatusSeenReply) {
			t.Errorf("%s: helper %q, mark %d, status %v; want %q, %d, %v", tt.name, f.Helper, f.Mark, f.Status, tt.helper, tt.mark, tt.status)
		}
		if tt.label >= 0 && !e.Extra.Labels.Bit(tt.label) {
			t.Errorf("%s: labels %x; want bit %d", tt.name, e.Extra.Labels, tt.label)
		}
		if e.Extra.Master != tt.master.OrigTuple() {
			t.Errorf("%s: expected by %+v; want %+v", tt.name, e.Extra.Master, tt.master)
		}
		if got, want := announced.Match(f, &e.Extra, 0), tt.master != (model.Key{}); got != want {
			t.Errorf("%s: %s: %v, want %v", tt.name, announced, got, want)
		}
		if !e.Has.Has(model.HasCountersOrig | model.HasCountersReply | model.HasStart | model.HasID) {
			t.Errorf("%s: has %b, without counters, start or ID", tt.name, e.Has)
		}
	}
}
