package lab

import (
	"errors"
	"os"
	"testing"
	"time"

	"ctview/model"
)

// What Linux does that one would not expect and that the lab has to know. docs/upstream.md lists them.

// Conntrack computes the checksum of UDP-Lite with protocol 17: only what is wrong by RFC 3828 passes for right.
func TestUDPLiteChecksum(t *testing.T) {
	l := testLab(t, Options{})
	if err := l.Router().Sysctl("net/netfilter/nf_conntrack_checksum", "1"); err != nil {
		t.Fatal(err)
	}
	send := func(proto model.Proto) model.Key {
		k := l.talk(From{}, model.ProtoUDPLite, 5004)
		b := append(make([]byte, 8), "data"...)
		putPorts(b, k.src, k.dst)
		checksum(b, 6, k.src.Addr(), k.dst.Addr(), byte(proto))
		if err := k.ask(b); err != nil {
			t.Fatal(err)
		}
		return k.key
	}
	err := l.awaitCount(t.Context(), "invalid", func() error { send(model.ProtoUDPLite); return nil })
	if err != nil {
		t.Errorf("a right datagram is not INVALID any more: %v", err)
	}
	if err := l.Await(t.Context(), send(model.ProtoUDP), nil); err != nil {
		t.Error(err)
	}
}

func TestRepeatedFIN(t *testing.T) {
	l := testLab(t, Options{})
	ctx := t.Context()
	k := l.talk(From{V6: true}, model.ProtoTCP, 443)
	steps := scripts[model.TCPCloseWait]
	for _, s := range steps {
		if err := k.play(ctx, s); err != nil {
			t.Fatal(err)
		}
		if err := l.Await(ctx, k.key, func(f *model.Flow) bool { return f.State == s.state }); err != nil {
			t.Fatal(err)
		}
	}
	k.seq[byClient]-- // the same FIN again
	if err := k.play(ctx, step{byClient, fin | ack, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if err := l.Await(ctx, k.key, func(f *model.Flow) bool { return f.State == model.TCPLastAck }); err != nil {
		t.Error(err)
	}
}

func TestFTPHelperDrops(t *testing.T) {
	l := testLab(t, Options{})
	s, err := l.FTP(t.Context(), From{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.c.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if line, err := s.do("PORT 1,2,3"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a PORT that is cut short was answered: %q, %v", line, err)
	}
}
