//go:build kernels

package ctnl_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"ctview/ctnl"
	"ctview/model"

	"golang.org/x/sys/unix"
)

// TestTableFull fills the table to its limit, which is the host's: it runs where the host is the test's own.
func TestTableFull(t *testing.T) {
	const file = "/proc/sys/net/netfilter/nf_conntrack_max"
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, _, k := newKernel(t)
	if err := os.WriteFile(file, []byte("20"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(file, []byte(strings.TrimSpace(string(was))), 0)
	ctx := testContext(t)
	for i := range 30 {
		s := &ctnl.Spec{}
		s.Flow.Key = model.Key{Family: model.IPv4, Proto: model.ProtoUDP, Sport: uint16(1000 + i), Dport: 53}
		s.Flow.Src, s.Flow.Dst = [16]byte{10: 0xff, 11: 0xff, 12: 10, 15: 1}, [16]byte{10: 0xff, 11: 0xff, 12: 10, 15: 2}
		s.Has, s.Timeout = model.HasTimeout, 100
		err = k.Create(ctx, s)
		if err != nil {
			if i < 15 {
				t.Fatalf("flow %d: %v", i, err)
			}
			break
		}
	}
	if !errors.Is(err, ctnl.ErrFull) || !errors.Is(err, unix.ENOMEM) || !strings.Contains(err.Error(), "of "+strconv.Itoa(20)+" entries") {
		t.Errorf("a full table: %v", err)
	}
}
