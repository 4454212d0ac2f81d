package ctnl_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ctview/ctnl"
	"ctview/model"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/netfilter"
)

func sorted(m map[string]message) []string { return slices.Sorted(maps.Keys(m)) }

// describe writes all of an event in one line.
func describe(e *model.Event) string {
	f := &e.Flow
	r := f.Reply()
	s := fmt.Sprintf("%v %v %v zone %d/%d status %v", e.Kind, endpoints(f.Orig()), endpoints(r), f.Zone, f.ZoneDir, f.Status)
	s += fmt.Sprintf(" has %#x known %#x id %08x timeout %d mark %d use %d state %d tcp %v sctp %v dccp %v", uint32(e.Has), uint8(f.Known),
		f.ID, e.Timeout, f.Mark, e.Use, f.State, e.TCP, e.SCTP, e.DCCP)
	s += fmt.Sprintf(" packets %v bytes %v start %d stop %d time %d helper %q %q", f.Packets, f.Bytes, e.Start, e.Stop, e.Time, f.Helper, e.HelperInfo)
	s += fmt.Sprintf(" labels %x secctx %q master %v seqadj %v synproxy %v port %d", littleWords(e.Extra.Labels), e.Extra.Secctx,
		endpoints(e.Extra.Master), e.SeqAdj, e.Synproxy, e.PortID)
	return s
}

// littleWords returns labels as a little-endian machine has them.
func littleWords(l model.Labels) model.Labels {
	for i := 0; i < len(l); i += 4 {
		binary.LittleEndian.PutUint32(l[i:], binary.NativeEndian.Uint32(l[i:]))
	}
	return l
}

func describeExpect(x *model.Expect) string {
	return fmt.Sprintf("%v %v mask %v master %v zone %d id %08x timeout %d class %d flags %d helper %q fn %q nat %d %v", x.Kind,
		endpoints(x.Tuple), endpoints(x.Mask), endpoints(x.Master), x.Zone, x.ID, x.Timeout, x.Class, x.Flags, x.Helper, x.Fn,
		x.NATDir, endpoints(x.NAT))
}

func endpoints(t model.Tuple) string {
	if t.Family == 0 {
		return "-"
	}
	return fmt.Sprintf("%v %v>%v", t.Proto, netip.AddrPortFrom(t.SrcAddr(), t.Sport), netip.AddrPortFrom(t.DstAddr(), t.Dport))
}

// capture makes flows of every kind in a namespace and writes the messages that the kernel sends of them to testdata.
func capture(t *testing.T) {
	l, ns, k := newKernel(t)
	for _, name := range []string{"acct", "timestamp", "events"} {
		if err := ns.SetSysctl("nf_conntrack_"+name, "1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.EnableTracking(); err != nil {
		t.Fatal(err)
	}
	// The kernel keeps labels only where a rule uses them.
	nft := l.Command("nft", "add table inet t; add chain inet t c { type filter hook input priority 0; }; add rule inet t c ct label set 1")
	if out, err := nft.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
	c := listen(t, ns)
	ctx := testContext(t)
	flows := captureFlows()
	for _, name := range slices.Sorted(maps.Keys(flows)) {
		s := flows[name]
		if err := k.Create(ctx, s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		save(t, name+"-new", next(t, c))
		if err := k.Update(ctx, s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		save(t, name+"-update", next(t, c))
		captureDump(t, ns, name)
		if name == "tcp4" {
			captureExpect(t, ns, k, c, s)
		}
		if name == "tcp4-master" {
			continue
		}
		if err := k.Delete(ctx, s.Flow.Key, 0); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		save(t, name+"-destroy", next(t, c))
	}
}

func captureFlows() map[string]*ctnl.Spec {
	flows := map[string]*ctnl.Spec{
		"tcp4":     spec(key(model.ProtoTCP, "192.0.2.1:1000", "192.0.2.2:21")),
		"tcp6":     spec(key(model.ProtoTCP, "[2001:db8::1]:1000", "[2001:db8::2]:80")),
		"udp4":     spec(key(model.ProtoUDP, "192.0.2.1:1000", "192.0.2.2:53")),
		"udplite4": spec(key(model.ProtoUDPLite, "192.0.2.1:1000", "192.0.2.2:53")),
		"icmp4":    spec(key(model.ProtoICMP, "192.0.2.1:4711", "192.0.2.2:2048")),
		"icmp6":    spec(key(model.ProtoICMPv6, "[2001:db8::1]:4711", "[2001:db8::2]:32768")),
		"gre4":     spec(key(model.ProtoGRE, "192.0.2.1:1", "192.0.2.2:2")),
		"ospf4":    spec(key(89, "192.0.2.1:0", "192.0.2.2:0")),
		"sctp4":    spec(key(model.ProtoSCTP, "192.0.2.1:1000", "192.0.2.2:9")),
		"zone":     spec(key(model.ProtoUDP, "192.0.2.1:1000", "192.0.2.2:53")),
		"zone-o":   spec(key(model.ProtoUDP, "192.0.2.1:1000", "192.0.2.2:53")),
		"zone-r":   spec(key(model.ProtoUDP, "192.0.2.1:1000", "192.0.2.2:53")),
		"nat":      spec(key(model.ProtoTCP, "192.0.2.1:1000", "192.0.2.2:80")),
	}
	tcp := flows["tcp4"]
	tcp.Flow.Mark, tcp.Flow.Helper = 0xcafe, model.HelperFor([]byte("ftp"))
	tcp.TCP = model.TCPInfo{WScale: [2]uint8{7, 8}, Flags: [2]uint8{0x03, 0x01}, Masks: [2]uint8{0x3f, 0x3f}}
	tcp.Extra.Labels = model.Labels{0: 0x81, 15: 0x80}
	tcp.SeqAdj = [2]model.SeqAdj{{CorrectionPos: 1, OffsetBefore: 2, OffsetAfter: 3}, {CorrectionPos: 4, OffsetBefore: 5, OffsetAfter: 6}}
	tcp.Synproxy = model.Synproxy{ISN: 1, ITS: 2, TSOff: 3}
	tcp.Flow.Status = model.StatusSeenReply | model.StatusAssured
	tcp.Has |= model.HasMark | model.HasHelper | model.HasTCPInfo | model.HasLabels | model.HasSeqAdjOrig | model.HasSeqAdjReply |
		model.HasSynproxy | model.HasStatus
	sctp := flows["sctp4"]
	sctp.Flow.State, sctp.SCTP.VTag = 4, [2]uint32{0x01020304, 0x05060708}
	sctp.Has |= model.HasProtoinfo | model.HasSCTPInfo
	for name, dir := range map[string]model.ZoneDir{"zone": model.ZoneBoth, "zone-o": model.ZoneOrig, "zone-r": model.ZoneReply} {
		flows[name].Flow.Zone, flows[name].Flow.ZoneDir = 5, dir
	}
	flows["nat"].SrcNAT = &ctnl.NATRange{Min: netip.MustParseAddr("198.51.100.1"), PortMin: 4000, PortMax: 4000}
	return flows
}

// captureExpect makes an expectation of flow s.
func captureExpect(t *testing.T, ns *ctnl.Netns, k *ctnl.Kernel, c *netlink.Conn, s *ctnl.Spec) {
	x := ftpExpect(s.Flow.Key)
	ctx := testContext(t)
	if err := k.CreateExpect(ctx, x); err != nil {
		t.Fatal(err)
	}
	save(t, "expect-new", next(t, c))
	m := query(t, ns, netfilter.NFSubsysCTNetlinkExp)
	save(t, "expect-dump", m[0])
	if err := k.DeleteExpect(ctx, x.Tuple, 0, 0); err != nil {
		t.Fatal(err)
	}
	save(t, "expect-destroy", next(t, c))
}

// ftpExpect is what the ftp helper expects after PASV: a connection from the client to a port of the server.
func ftpExpect(master model.Key) *model.Expect {
	t := master.OrigTuple()
	x := &model.Expect{Master: t, Tuple: t, Mask: t, Timeout: 300, HasTimeout: true, Helper: "ftp"}
	x.Tuple.Sport, x.Tuple.Dport = 0, 2020
	ones := [16]byte{10: 0xff, 11: 0xff, 12: 0xff, 13: 0xff, 14: 0xff, 15: 0xff}
	x.Mask.Src, x.Mask.Dst, x.Mask.Sport, x.Mask.Dport = ones, ones, 0, 0xffff
	return x
}

// listen joins all conntrack groups with the library's own means.
func listen(t *testing.T, ns *ctnl.Netns) *netlink.Conn {
	c := dialNetfilter(t, ns)
	for _, g := range append(slices.Clone(netfilter.GroupsCT), netfilter.GroupsCTExp...) {
		if err := c.JoinGroup(uint32(g)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func dialNetfilter(t testing.TB, ns *ctnl.Netns) (c *netlink.Conn) {
	t.Helper()
	err := ns.Do(func() (err error) {
		c, err = netlink.Dial(12, nil) // NETLINK_NETFILTER
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func next(t *testing.T, c *netlink.Conn) netlink.Message {
	t.Helper()
	ms, err := c.Receive()
	if err != nil || len(ms) != 1 {
		t.Fatalf("receive: %d messages, %v", len(ms), err)
	}
	return ms[0]
}

// query dumps a subsystem.
func query(t *testing.T, ns *ctnl.Netns, subsys netfilter.SubsystemID) []netlink.Message {
	t.Helper()
	c := dialNetfilter(t, ns)
	req, err := netfilter.MarshalNetlink(netfilter.Header{SubsystemID: subsys, MessageType: 1, Flags: netlink.Request | netlink.Dump}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ms, err := c.Execute(req)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

func captureDump(t *testing.T, ns *ctnl.Netns, name string) {
	ms := query(t, ns, netfilter.NFSubsysCTNetlink)
	if len(ms) != 1 {
		t.Fatalf("%s: %d flows", name, len(ms))
	}
	save(t, name+"-dump", ms[0])
}

// save writes a message as hex, its sequence number and ports kept.
func save(t *testing.T, name string, m netlink.Message) {
	t.Helper()
	m.Header.Length = uint32(16 + len(m.Data))
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for s := hex.EncodeToString(b); s != ""; {
		n := min(64, len(s))
		text.WriteString(s[:n] + "\n")
		s = s[n:]
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/"+name+".hex", []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
