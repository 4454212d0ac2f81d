package main

import (
	"context"
	"strconv"
	"time"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/format"
	"ctview/model/table"

	"github.com/prometheus/client_golang/prometheus"
)

// askTime is how long a scrape waits for the kernel.
const askTime = 2 * time.Second

// A collector answers a scrape. Safe for concurrent use once the namespaces are set.
type collector struct {
	namespaces []*namespace
	labels     int // the most of a kind that are told one by one
	senders    []*sender
}

func newCollector(labels int) *collector { return &collector{labels: labels} }

// desc makes the description of a metric of a namespace.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"netns"}, labels...), nil)
}

func descOf(m format.Metric) *prometheus.Desc { return desc(m.Name, m.Help) }

var (
	descBuild   = prometheus.NewDesc("ctview_exporter_build_info", "1, with the version of ctview-exporter.", []string{"version"}, nil)
	descUp      = desc("ctview_up", "1 where the namespace is watched and the kernel answered this scrape.")
	descEntries = descOf(format.MetricEntries)
	descLimit   = descOf(format.MetricLimit)
	descSetting = desc("ctview_setting", "A setting of conntrack, as sysctl has it.", "name")
	descKernel  = kernelDescs()

	descFlows   = desc("ctview_flows", "Flows in the table by protocol and its state; protocols that conntrack has no name for are other.", "proto", "state")
	descCtState = desc("ctview_flows_by_ctstate", "Flows by the state that nft's \"ct state\" gives to their next packet; what is invalid or untracked has no flow.", "ctstate")
	descZone    = desc("ctview_flows_by_zone", "Flows by zone: those with the most, the rest as other.", "zone")
	descHelper  = desc("ctview_flows_by_helper", "Flows by the helper that watches them: those with the most, the rest as other.", "helper")
	descNAT     = desc("ctview_flows_by_nat", "Flows by what is translated: none, source, destination, both.", "nat")

	descEvents  = desc("ctview_events_total", "Events of flows that the kernel told and that were taken.", "kind")
	descLost    = desc("ctview_events_lost_total", "Events that the kernel dropped because the exporter did not read them in time.")
	descGaps    = desc("ctview_event_gaps_total", "Times that events were lost.")
	descRefused = desc("ctview_messages_refused_total", "Messages that were not taken: broken, or not from the kernel.", "reason")
	descResyncs = desc("ctview_resyncs_total", "Dumps that repaired what lost events had left wrong.")
	descStale   = desc("ctview_table_stale", "1 while events were lost and no dump has repaired the table: the flows may be wrong.")
	descLoaded  = desc("ctview_table_loaded", "1 once the first dump is complete: before, no flows are told.")
	descDump    = desc("ctview_last_dump_cpu_seconds", "CPU time that the last dump of the table took, most of it the kernel's.")

	descSendUp   = desc("ctview_ipfix_up", "1 while the IPFIX collector is not known to be away; over UDP only an ICMP error tells.")
	descSent     = desc("ctview_ipfix_records_total", "Records of flows and options that were sent to the IPFIX collector.")
	descActive   = desc("ctview_ipfix_active_records_total", "Records of flows that go on (--active) that were taken to be sent; they are among ctview_ipfix_records_total.")
	descMessages = desc("ctview_ipfix_messages_total", "IPFIX messages with records that were sent.")
	descUnsent   = desc("ctview_ipfix_records_lost_total", "Records of flows that the IPFIX collector did not get, as far as that can be known.", "reason")
	descUnheard  = desc("ctview_ipfix_unheard_ends_total", "Flows that were found gone without an event; their records have flowEndReason 5.")

	descFindings = desc("ctview_findings", "What is wrong, by the name that ctview diagnose gives it: about how many hosts, or 1; looked for twice a minute.", "name", "severity")

	descRules       = desc("ctview_notrack_rules", "NOTRACK rules, by who made them: ctview or others.", "owner")
	descRulePackets = desc("ctview_notrack_rule_packets", "Packets that a rule of ctview's took out of tracking, both directions; the oldest rules, the rest as other.", "rule")
	descLeaked      = desc("ctview_notrack_leaked_packets_total", "Packets that match a NOTRACK rule of ctview's and were tracked all the same.")
)

func kernelDescs() (all [len(model.CPUStats{}.Values)]*prometheus.Desc) {
	for n := range all {
		if m, ok := format.KernelMetric(n); ok {
			all[n] = descOf(m)
		}
	}
	return all
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descBuild, descUp, descEntries, descLimit, descSetting, descFlows, descCtState, descZone, descHelper,
		descNAT, descEvents, descLost, descGaps, descRefused, descResyncs, descStale, descLoaded, descDump, descSendUp, descSent, descActive, descMessages, descUnsent, descUnheard, descFindings, descRules, descRulePackets, descLeaked} {
		ch <- d
	}
	for _, d := range descKernel {
		if d != nil {
			ch <- d
		}
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(descBuild, prometheus.GaugeValue, 1, version())
	for _, s := range c.senders {
		a, st, ends := answer{ch, model.Escape(s.n.spec), c.labels}, s.told(), s.n.endStats()
		a.gauge(descSendUp, truth(st.up))
		a.counter(descSent, st.records)
		a.counter(descActive, st.active)
		a.counter(descMessages, st.messages)
		a.counter(descUnsent, ends.Lost, "queue_full")
		a.counter(descUnsent, st.refused.flows, "refused")
		a.counter(descUnsent, st.broken.flows, "broken")
		a.counter(descUnheard, ends.Unheard)
	}
	for _, n := range c.namespaces {
		a := answer{ch, model.Escape(n.spec), c.labels}
		a.events(n)
		w := n.watching()
		up := w != nil
		if up {
			a.table(w)
			a.findings(w)
			a.rules(w)
			up = a.kernel(w)
		}
		a.gauge(descUp, truth(up))
	}
}

// An answer is what one scrape is told of one namespace.
type answer struct {
	ch     chan<- prometheus.Metric
	netns  string
	labels int
}

func (a *answer) gauge(d *prometheus.Desc, v float64, labels ...string) {
	a.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{a.netns}, labels...)...)
}

func (a *answer) counter(d *prometheus.Desc, v uint64, labels ...string) {
	a.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), append([]string{a.netns}, labels...)...)
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// kernel asks the kernel; it reports whether it answered.
func (a *answer) kernel(w *watching) bool {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	sys, err := w.kernel.System(ctx)
	if err != nil || !sys.EntriesOK {
		return false
	}
	sums, err := w.stats(ctx)
	if err != nil {
		return false
	}
	a.gauge(descEntries, float64(sys.Entries))
	if sys.Max.OK {
		a.gauge(descLimit, float64(sys.Max.Value))
	}
	for name, s := range map[string]model.Setting{"nf_conntrack_buckets": sys.Buckets, "nf_conntrack_acct": sys.Acct,
		"nf_conntrack_timestamp": sys.Timestamp, "nf_conntrack_events": sys.Events, "nf_conntrack_tcp_loose": sys.TCPLoose} {
		if s.OK {
			a.gauge(descSetting, float64(s.Value), name)
		}
	}
	for n, d := range descKernel {
		if d != nil && sums.has&(1<<n) != 0 {
			a.counter(d, sums.sum[n])
		}
	}
	return true
}

// stats reads the kernel's counters. One reading at a time: of two that overtake each other the later would be a step back.
func (w *watching) stats(ctx context.Context) (s wideStats, err error) {
	k := w.counts
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.life != w {
		return s, ctnl.ErrNetnsGone
	}
	cpus, err := w.kernel.CPUStats(ctx)
	if err == nil {
		k.wide.add(cpus)
	}
	return k.wide, err
}

// always are the states that are told with 0 too, so that a graph has no holes.
var always = []table.StateFlows{{Proto: model.ProtoUDP, State: "replied"}, {Proto: model.ProtoUDP, State: "unreplied"},
	{Proto: model.ProtoICMP, State: "replied"}, {Proto: model.ProtoICMP, State: "unreplied"},
	{Proto: model.ProtoICMPv6, State: "replied"}, {Proto: model.ProtoICMPv6, State: "unreplied"}}

// events tells what was counted in all lives of a namespace, also while it is gone.
func (a *answer) events(n *namespace) {
	s := n.events()
	a.counter(descEvents, s.created, "new")
	a.counter(descEvents, s.updated, "update")
	a.counter(descEvents, s.ended, "destroy")
	a.counter(descLost, s.lost)
	a.counter(descGaps, s.gaps)
	a.counter(descResyncs, s.resyncs)
	a.counter(descRefused, s.forged, "forged")
	a.counter(descRefused, s.malformed, "malformed")
}

// table tells how the table is.
func (a *answer) table(w *watching) {
	s := w.table.Stats()
	a.gauge(descStale, truth(s.Stale))
	a.gauge(descLoaded, truth(s.Loaded))
	if d, ok := w.sync.LastDump(); ok {
		a.gauge(descDump, d.CPU.Seconds())
	}
	if s.Loaded {
		a.flows(w)
	}
}

func (a *answer) flows(w *watching) {
	var b table.Breakdown
	w.table.Breakdown(&b)
	type protoState struct{ proto, state string }
	states := map[protoState]int{}
	for _, name := range model.StateNames(model.ProtoTCP) {
		states[protoState{"tcp", name}] = 0
	}
	for _, s := range always {
		states[protoState{protoLabel(s.Proto), s.State}] = 0
	}
	for _, s := range b.States {
		states[protoState{protoLabel(s.Proto), s.State}] += s.Flows
	}
	for s, n := range states {
		a.gauge(descFlows, float64(n), s.proto, s.state)
	}
	for s := model.CtNew; s <= model.CtRelated; s++ {
		a.gauge(descCtState, float64(b.CtStates[s]), s.String())
	}
	both := b.SNAT + b.DNAT + b.NoNAT - b.Flows
	for nat, n := range map[string]int{"none": b.NoNAT, "source": b.SNAT - both, "destination": b.DNAT - both, "both": both} {
		a.gauge(descNAT, float64(n), nat)
	}
	for zone, n := range top(b.Zones, a.labels, func(z *table.ZoneFlows) (string, int) { return strconv.Itoa(int(z.Zone)), z.Flows }) {
		a.gauge(descZone, float64(n), zone)
	}
	for helper, n := range top(b.Helpers, a.labels, func(h *table.HelperFlows) (string, int) { return helperLabel(h.Helper), h.Flows }) {
		a.gauge(descHelper, float64(n), helper)
	}
}

// findings tells what is wrong, nothing before the first look.
func (a *answer) findings(w *watching) {
	w.mu.Lock()
	wrong, judged := w.wrong, w.judged
	w.mu.Unlock()
	for name, f := range wrong {
		if judged {
			a.gauge(descFindings, float64(f.n), name, f.severity.String())
		}
	}
}

// rules tells the NOTRACK rules as they were read last, nothing where they cannot be read.
func (a *answer) rules(w *watching) {
	w.counts.mu.Lock()
	r := w.counts.found
	w.counts.mu.Unlock()
	if !r.ok {
		return
	}
	a.gauge(descRules, float64(len(r.ours)), "ctview")
	a.gauge(descRules, float64(r.others), "others")
	a.counter(descLeaked, r.leaked)
	for rule, n := range top(r.ours, a.labels, func(o *model.NotrackRule) (string, int) { return o.ID, int(o.Packets[0] + o.Packets[1]) }) {
		a.gauge(descRulePackets, float64(n), rule)
	}
}
