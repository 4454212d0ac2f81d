package dryrun

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ctview/ctnl/lab/labtest"
	"ctview/model"
)

// sctp is a packet of an association in mid-stream, with one chunk.
func sctp(kind byte, body ...byte) []byte {
	b := make([]byte, 12, 64)
	binary.BigEndian.PutUint16(b, 4000)
	binary.BigEndian.PutUint16(b[2:], 5000)
	b = binary.BigEndian.AppendUint16(append(b, kind, 3), uint16(4+len(body)))
	b = append(b, body...)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// TestBackSCTP compares what the kernel makes of an association that it meets in mid-stream with what Back says of it: data is
// INVALID until a heartbeat makes an entry.
func TestBackSCTP(t *testing.T) {
	t.Parallel()
	ns := testNS(t)
	nftRules(t, ns, "table inet f {\n\tchain c { type filter hook input priority 0; meta l4proto sctp ct state invalid counter drop; meta l4proto sctp ct state new counter; }\n}\n")
	var fd int
	must(t, ns.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_SCTP)
		return err
	}))
	defer func() { _ = unix.Close(fd) }()
	var met []string
	for _, p := range [][]byte{sctp(0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 'd', 'a', 't', 'a'), sctp(4, 0, 1, 0, 8, 0, 0, 0, 0)} {
		must(t, unix.Sendto(fd, p, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
		out, err := labtest.Command(ns, "nft", "list", "ruleset").Output()
		must(t, err)
		var n []string
		for l := range strings.Lines(string(out)) {
			if _, s, ok := strings.Cut(l, "packets "); ok {
				n = append(n, s[:1])
			}
		}
		met = append(met, strings.Join(n, " invalid ")+" new")
	}
	if want := []string{"1 invalid 0 new", "1 invalid 1 new"}; !slices.Equal(met, want) {
		t.Errorf("the kernel met %q, want %q", met, want)
	}
	s, err := Open(ns)
	must(t, err)
	defer s.Close()
	r := rule(t, "sctp 127.0.0.1:4000 > 127.0.0.1:5000")
	if got := s.Back(&r, false); got.Cut != Maybe || got.As != AsHeartbeat || len(got.Where) == 0 {
		t.Errorf("%+v", got)
	}
	if got := s.Back(&r, true); got.Cut != No {
		t.Errorf("with its entry: %+v", got)
	}
	if r.Proto = model.ProtoUDP; s.Back(&r, false).Cut != No {
		t.Errorf("UDP: %+v", s.Back(&r, false))
	}
}
