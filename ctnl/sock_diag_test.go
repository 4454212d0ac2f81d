package ctnl_test

import (
	"net/netip"
	"testing"

	"ctview/ctnl"
	"ctview/model"

	"golang.org/x/sys/unix"
)

// FuzzDiag holds that no answer of sock_diag or rtnetlink makes the readers panic.
func FuzzDiag(f *testing.F) {
	tcp := make([]byte, 72)
	tcp[0], tcp[1], tcp[5], tcp[7], tcp[8] = unix.AF_INET, 1, 22, 80, 127
	f.Add(tcp)
	f.Add(append([]byte{unix.AF_INET, 8, 0, 0, 1, 0, 0, 0, 8, 0, unix.IFA_LOCAL, 0, 127, 0, 0, 1}, 3, 0))
	f.Add([]byte{})
	local, remote := netip.MustParseAddrPort("127.0.0.1:22"), netip.MustParseAddrPort("10.0.0.1:80")
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ctnl.ParseDiag(b, model.ProtoTCP, local, remote)
		_ = ctnl.ReadInetSocket(b, model.ProtoTCP)
		if len(b) >= unix.SizeofIfAddrmsg {
			ctnl.ReadLocalAddr(b, ctnl.LocalAddrs{})
		}
	})
}
