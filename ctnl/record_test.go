package ctnl_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/table"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/pcapgo"
)

// recordWhile writes a capture of ns to a buffer while during runs.
func recordWhile(t *testing.T, ns *ctnl.Netns, opt ctnl.RecordOptions, during func()) ([]byte, ctnl.RecordInfo) {
	t.Helper()
	var buf bytes.Buffer
	var last atomic.Pointer[ctnl.RecordInfo]
	last.Store(&ctnl.RecordInfo{})
	opt.Progress = func(i ctnl.RecordInfo) { last.Store(&i) }
	ctx, cancel := context.WithCancel(testContext(t))
	var final ctnl.RecordInfo
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		final, err = ctnl.Record(ctx, ns, &buf, opt)
	}()
	eventually(t, "the recording to begin", func() bool { return last.Load().Rows > 0 })
	during()
	eventually(t, "the dump", func() bool { return last.Load().Dumped })
	cancel()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), final
}

// TestRecordReplay: a table made from the capture is the kernel's.
func TestRecordReplay(t *testing.T) {
	_, ns, k := newKernel(t)
	fill(t, k, 2000)
	rng := rand.New(rand.NewPCG(3, 4))
	file, info := recordWhile(t, ns, ctnl.RecordOptions{}, func() { churn(t, k, rng, 3000) })
	tab := table.New()
	if err := ctnl.Replay(bytes.NewReader(file), tab, ctnl.ReplayOptions{}); err != nil {
		t.Fatal(err)
	}
	if s := tab.Stats(); !s.Loaded || s.Stale || s.Malformed != 0 || info.Rows < 1000 || info.Events == 0 || info.Lost != 0 {
		t.Errorf("%+v, %+v", s, info)
	}
	if diff := cmp.Diff(kernelFlows(t, ns), tableFlows(tab)); diff != "" {
		t.Errorf("the replayed table differs from the kernel (-kernel +replay):\n%s", diff)
	}
	r, err := pcapgo.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	packets := uint64(0)
	for {
		data, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || binary.BigEndian.Uint16(data[14:]) != 12 {
			t.Fatalf("pcapgo: packet %d: %x, %v", packets, data[:16], err)
		}
		packets++
	}
	if packets != info.Packets || r.LinkType() != 253 {
		t.Errorf("pcapgo reads %d packets of link type %d, want %d", packets, r.LinkType(), info.Packets)
	}
}

// TestRecordLoss: where events were lost the capture says so.
func TestRecordLoss(t *testing.T) {
	_, ns, k := newKernel(t)
	fill(t, k, 1)
	file, info := recordWhile(t, ns, ctnl.RecordOptions{RcvBuf: 2 << 10}, func() {
		rng := rand.New(rand.NewPCG(5, 6))
		for range 20 {
			churn(t, k, rng, 2000)
		}
	})
	r := &recorder{}
	if err := ctnl.Replay(bytes.NewReader(file), r, ctnl.ReplayOptions{}); err != nil {
		t.Fatal(err)
	}
	if info.Lost == 0 || r.lost != info.Lost || r.dumps != 1 {
		t.Errorf("recorded %+v, replayed %d lost, %d dumps", info, r.lost, r.dumps)
	}
}

// TestReplayBroken: what is before the break is handed on.
func TestReplayBroken(t *testing.T) {
	file, err := os.ReadFile("testdata/sample.pcap")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		file []byte
		want error
	}{
		{"empty", nil, ctnl.ErrMalformed},
		{"text", []byte("this is no capture file at all"), ctnl.ErrMalformed},
		{"pcapng", append([]byte{0x0a, 0x0d, 0x0d, 0x0a}, make([]byte, 40)...), ctnl.ErrMalformed},
		{"other link type", append(bytes.Clone(file[:20]), 1, 0, 0, 1), ctnl.ErrMalformed},
		{"cut in a packet", file[:len(file)-3], io.ErrUnexpectedEOF},
		{"cut in a header", file[:24+5], io.ErrUnexpectedEOF},
		{"huge packet", append(bytes.Clone(file[:24]), bytes.Repeat([]byte{0xff}, 16)...), ctnl.ErrMalformed},
		{"whole", file, nil},
	} {
		r := &recorder{}
		err := ctnl.Replay(bytes.NewReader(tt.file), r, ctnl.ReplayOptions{})
		if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if tt.name == "cut in a packet" && len(r.evs) == 0 {
			t.Errorf("%s: nothing was handed on", tt.name)
		}
	}
}

func FuzzReplay(f *testing.F) {
	file, err := os.ReadFile("testdata/sample.pcap")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(file[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = ctnl.Replay(bytes.NewReader(b), table.New(), ctnl.ReplayOptions{Expect: func(int64, *model.Expect) {}})
	})
}

// TestReplaySample reads a capture that is kept in the repository (-update makes it anew).
func TestReplaySample(t *testing.T) {
	const name = "testdata/sample.pcap"
	if *update {
		_, ns, k := newKernel(t)
		fill(t, k, 5)
		file, _ := recordWhile(t, ns, ctnl.RecordOptions{}, func() {
			if _, err := k.DeleteMany(testContext(t), []ctnl.Target{{Key: nth(0)}, {Key: nth(1)}}, nil); err != nil {
				t.Fatal(err)
			}
		})
		if err := os.WriteFile(name, file, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tab := table.New()
	var last int64
	err = ctnl.Replay(f, tab, ctnl.ReplayOptions{Pace: func(now int64) error {
		if now < last || last != 0 && now-last > 60e9 {
			t.Errorf("time goes from %d to %d", last, now)
		}
		last = now
		return nil
	}})
	if s := tab.Stats(); err != nil || s.Flows != 3 || s.Ended != 2 || s.New != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}
