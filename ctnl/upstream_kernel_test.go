package ctnl_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"syscall"
	"testing"

	"ctview/ctnl"
	"ctview/model"

	"golang.org/x/sys/unix"
)

// TestKernelQuirks shows what docs/upstream.md says of the kernel. A subtest that fails means that this kernel behaves
// better; ctnl does not depend on it.
func TestKernelQuirks(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, ns *ctnl.Netns, k *ctnl.Kernel)
	}{
		{"single-reply-multi", quirkMulti},
		{"ipv6-filter-inverted", quirkInverted},
		{"unknown-filter-flushes", quirkFlush},
		{"mark-mask-alone", quirkMarkMask},
		{"status-zero", quirkStatusZero},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, ns, k := newKernel(t)
			for _, key := range []model.Key{key(model.ProtoUDP, "[fd00::1]:1", "[fd00::2]:2"), key(model.ProtoUDP, "[fd00::3]:3", "[fd00::4]:4")} {
				if err := k.Create(testContext(t), spec(key)); err != nil {
					t.Fatal(err)
				}
			}
			tt.run(t, ns, k)
		})
	}
}

// raw sends a request of the conntrack subsystem and returns the first datagram of the answer, or its error.
func raw(t *testing.T, ns *ctnl.Netns, typ, flags uint16, nfgen []byte, attrs ...[]byte) ([]syscall.NetlinkMessage, error) {
	t.Helper()
	body := slices.Concat(append([][]byte{nfgen}, attrs...)...)
	req := binary.NativeEndian.AppendUint32(nil, uint32(16+len(body)))
	req = binary.NativeEndian.AppendUint16(req, 1<<8|typ)
	req = binary.NativeEndian.AppendUint16(req, unix.NLM_F_REQUEST|flags)
	req = append(append(req, make([]byte, 8)...), body...)
	buf := make([]byte, 64<<10)
	var n int
	err := ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Sendto(fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
		n, err = unix.Read(fd, buf)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ms, err := syscall.ParseNetlinkMessage(buf[:n])
	if err != nil || len(ms) == 0 {
		t.Fatalf("%d messages, %v", len(ms), err)
	}
	if ms[0].Header.Type == unix.NLMSG_ERROR {
		if errno := int32(binary.NativeEndian.Uint32(ms[0].Data)); errno != 0 {
			return nil, unix.Errno(-errno)
		}
	}
	return ms, nil
}

// quirkMulti: the only answer to a GET has NLM_F_MULTI, and no NLMSG_DONE follows.
func quirkMulti(t *testing.T, ns *ctnl.Netns, _ *ctnl.Kernel) {
	ms, err := raw(t, ns, 5, 0, []byte{0, 0, 0, 0}) // IPCTNL_MSG_CT_GET_STATS
	if err != nil || len(ms) != 1 || ms[0].Header.Flags&unix.NLM_F_MULTI == 0 {
		t.Errorf("%+v, %v", ms, err)
	}
}

// quirkInverted: CTA_FILTER with an IPv6 source returns the flows of all other sources.
func quirkInverted(t *testing.T, ns *ctnl.Netns, _ *ctnl.Kernel) {
	flags := binary.NativeEndian.AppendUint32(nil, 1) // CTA_FILTER_F_CTA_IP_SRC
	one := make([]byte, 16)
	one[0], one[15] = 0xfd, 1
	ms, err := raw(t, ns, 1, unix.NLM_F_DUMP, []byte{unix.AF_INET6, 0, 0, 0},
		nested(a(1, nested(a(1, a(3, one))))), nested(a(25, a(1, flags))))
	if err != nil {
		t.Fatal(err)
	}
	var e model.Event
	d := ctnl.NewDecoder()
	if err := d.Message(0, ms[0].Header.Type, ms[0].Header.Flags, 0, ms[0].Data, &e); err != nil {
		t.Fatal(err)
	}
	if e.Flow.Src[15] != 3 {
		t.Errorf("asked for fd00::1, got %x", e.Flow.Src)
	}
}

// quirkFlush: a deletion whose only attribute the kernel does not know empties the table.
func quirkFlush(t *testing.T, ns *ctnl.Netns, k *ctnl.Kernel) {
	if _, err := raw(t, ns, 2, unix.NLM_F_ACK, []byte{0, 1, 0, 0}, a(60, b32(1))); err != nil {
		t.Fatal(err)
	}
	if n, _, err := k.Count(testContext(t)); n != 0 || err != nil {
		t.Errorf("%d flows left, %v", n, err)
	}
}

// quirkMarkMask: CTA_MARK_MASK without CTA_MARK is ignored: a full dump without NLM_F_DUMP_FILTERED.
func quirkMarkMask(t *testing.T, ns *ctnl.Netns, _ *ctnl.Kernel) {
	ms, err := raw(t, ns, 1, unix.NLM_F_DUMP, []byte{0, 0, 0, 0}, a(21, b32(1)))
	if err != nil || len(ms) == 0 || ms[0].Header.Flags&unix.NLM_F_DUMP_FILTERED != 0 {
		t.Errorf("%+v, %v", ms, err)
	}
}

// quirkStatusZero: CTA_STATUS 0 without a mask is refused.
func quirkStatusZero(t *testing.T, ns *ctnl.Netns, _ *ctnl.Kernel) {
	if ms, err := raw(t, ns, 1, unix.NLM_F_DUMP, []byte{0, 0, 0, 0}, a(3, b32(0))); !errors.Is(err, unix.EINVAL) {
		t.Errorf("%+v, %v", ms, err)
	}
}
