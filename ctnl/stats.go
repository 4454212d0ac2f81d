package ctnl

import (
	"context"
	"os"

	"ctview/model"

	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"
)

// CPUStats returns conntrack's counters, one element a CPU. Which are counted depends on the kernel: see Has.
func (k *Kernel) CPUStats(ctx context.Context) ([]model.CPUStats, error) {
	return k.cpuStats(ctx, netfilter.NFSubsysCTNetlink, ctGetStatsCPU)
}

func (k *Kernel) cpuStats(ctx context.Context, subsys netfilter.SubsystemID, typ uint8) (all []model.CPUStats, err error) {
	err = k.with(ctx, "statistics", func(x *exchange) error {
		x.begin(subsys, typ, unix.NLM_F_DUMP, 0, 0).end()
		err := x.each(ctx, func(_ header, payload []byte) error {
			var s model.CPUStats
			err := cpuStats(payload, &s)
			all = append(all, s)
			return err
		})
		return probeError(err)
	})
	return all, err
}

// Probe tells whether conntrack can be talked to: nil, or an error that wraps ErrPermission or ErrNoConntrack.
func (k *Kernel) Probe(ctx context.Context) error {
	_, _, err := k.Count(ctx)
	return err
}

// tcpTimeouts names the sysctls by TCP state.
var tcpTimeouts = [10]string{1: "syn_sent", 2: "syn_recv", 3: "established", 4: "fin_wait", 5: "close_wait", 6: "last_ack",
	7: "time_wait", 8: "close"}

// System returns the settings of the namespace and its entry count. What cannot be read is marked so; the error is
// that of counting. RcvBuf is the Watcher's to know.
func (k *Kernel) System(ctx context.Context) (model.System, error) {
	s := model.System{Netns: k.ns.spec, UID: os.Getuid()}
	s.Host, _ = os.Hostname()
	err := k.ns.Do(func() error {
		s.Max = readSetting("nf_conntrack_max")
		s.Buckets = readSetting("nf_conntrack_buckets")
		s.Acct = readSetting("nf_conntrack_acct")
		s.Timestamp = readSetting("nf_conntrack_timestamp")
		s.Events = readSetting("nf_conntrack_events")
		s.TCPLoose = readSetting("nf_conntrack_tcp_loose")
		s.ExpectMax = readSetting("nf_conntrack_expect_max")
		for state, name := range tcpTimeouts {
			if name != "" {
				s.TCPTimeouts[state] = readSetting("nf_conntrack_tcp_timeout_" + name)
			}
		}
		s.UDPTimeout = readSetting("nf_conntrack_udp_timeout")
		s.UDPStream = readSetting("nf_conntrack_udp_timeout_stream")
		s.ICMPTimeout = readSetting("nf_conntrack_icmp_timeout")
		s.ICMPv6Timeout = readSetting("nf_conntrack_icmpv6_timeout")
		s.GenericTimeout = readSetting("nf_conntrack_generic_timeout")
		return nil
	})
	if err != nil {
		return s, err
	}
	entries, _, err := k.Count(ctx)
	s.Entries, s.EntriesOK = entries, err == nil
	return s, err
}
