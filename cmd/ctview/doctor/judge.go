package doctor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/finding"
	"ctview/model/format"
)

// Judge turns what was seen into findings, always the same checks in the same order.
func (x *Exam) Judge() []Finding {
	return []Finding{
		{Check: "kernel", Value: "Linux " + x.release},
		x.permission(), x.ctnetlink(), x.tracking(), x.table(), x.counters(), x.events(), x.buffer(),
		x.setting("acct", x.sys.Acct, "flows carry packets and bytes", finding.AcctOff),
		x.setting("timestamp", x.sys.Timestamp, "flows carry when they began", finding.TimestampOff),
		x.nfTables(), x.iptables(), x.helper(), x.invalid(), x.demo(), x.processes(), x.privileges(),
	}
}

// where says which namespace a finding is about.
func (x *Exam) where() string {
	if x.netns == "" {
		return "this namespace"
	}
	return "namespace " + x.netns
}

// sysctl is the command that sets a setting of conntrack in the namespace.
func (x *Exam) sysctl(name, value string) string { return finding.Sysctl(x.netns, name, value) }

func (x *Exam) permission() Finding {
	f := Finding{Check: "permission"}
	switch {
	case errors.Is(x.probe, ctnl.ErrPermission):
		f.Mark, f.Err = Bad, ctnl.ErrPermission
		f.Value = fmt.Sprintf("uid %d may not ask for flows: no CAP_NET_ADMIN in %s", x.uid, x.where())
		if x.netns != "" {
			f.Cure = "run it with sudo: entering another namespace needs CAP_SYS_ADMIN"
		}
		if x.netAdmin {
			f.Value = fmt.Sprintf("uid %d has CAP_NET_ADMIN, but not for %s, or not CAP_SYS_ADMIN to enter it", x.uid, x.where())
		}
	case errors.Is(x.join, ctnl.ErrPermission):
		f.Mark, f.Value, f.Err = Bad, "flows can be listed, events not: CAP_NET_ADMIN is missing", ctnl.ErrPermission
	default:
		f.Value = fmt.Sprintf("uid %d has CAP_NET_ADMIN: flows, events, changes", x.uid)
	}
	return f
}

func (x *Exam) ctnetlink() Finding {
	f := Finding{Check: "ctnetlink"}
	switch {
	case x.probe == nil && x.join == nil:
		f.Value = "the kernel answers and sends events"
	case errors.Is(x.probe, ctnl.ErrNoConntrack) || errors.Is(x.join, ctnl.ErrNoConntrack):
		f.Mark, f.Value, f.Err = Bad, ctnl.ErrNoConntrack.Error(), ctnl.ErrNoConntrack
	case errors.Is(x.probe, ctnl.ErrPermission) || errors.Is(x.join, ctnl.ErrPermission):
		f.Mark, f.Value = Unknown, "not asked: not permitted"
	default:
		f.Mark, f.Value, f.Err = Bad, "events cannot be received: "+x.join.Error(), x.join
	}
	return f
}

func (x *Exam) tracking() Finding {
	f := Finding{Check: "tracking"}
	switch {
	case x.firewallErr == nil && x.firewall.Tracks != "":
		f.Value = "active, because of " + x.firewall.Tracks
	case x.firewallErr == nil && x.firewall.Own != "":
		f.Mark = Note
		f.Value = "active, because of ctview itself (table " + x.firewall.Own + ") and of nothing else"
		f.Cure = "it ends with the ctview that counts there; what outlived its ctview goes with: ctview notrack remove --all"
	case x.entries.OK && x.entries.Value > 0:
		f.Value = model.Plural(x.entries.Value, "entry") + " in the table"
		if x.firewallErr == nil {
			f.Value += ", though no rule that uses conntrack was found"
		}
	case x.firewallErr != nil:
		f.Mark, f.Value = Unknown, "no entries; the rules are not told to this user"
	case x.firewall.Unread:
		f.Mark, f.Value = Unknown, "no entries; the rules of the legacy tables cannot be read: iptables-legacy-save is missing"
	default:
		f.Mark = Note
		f.Value = "not active in " + x.where() + ": no rule uses conntrack, so the table stays empty"
		f.Cure = "any such rule turns it on, e.g. nft add rule inet filter input ct state established counter"
	}
	return f
}

// Parts of the limit from which on the table is called full.
const (
	fillNote = 0.8
	fillFull = 0.98
)

func (x *Exam) table() Finding {
	f := Finding{Check: "table"}
	limit := x.sys.Max
	if !x.entries.OK || !limit.OK {
		return Finding{Check: f.Check, Mark: Unknown, Value: "entries and limit cannot be read"}
	}
	part := float64(x.entries.Value) / float64(max(limit.Value, 1))
	f.Value = fmt.Sprintf("%d of %s (%.1f %%)", x.entries.Value, model.Plural(limit.Value, "entry"), 100*part)
	if b := x.sys.Buckets; b.OK {
		f.Value += ", " + model.Plural(b.Value, "bucket")
	}
	if part >= fillNote {
		f.Mark = Note
		f.Cure = fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d on the host; \"ctview list --group-by src\" shows who fills it", 2*limit.Value)
	}
	if part >= fillFull {
		f.Value += ": full, packets of new flows are dropped"
	}
	return f
}

// worrying are the counters that should stay 0 (CTA_STATS_*).
var worrying = []int{10, 11, 9}

func (x *Exam) counters() Finding {
	f := Finding{Check: "counters"}
	if x.cpusErr != nil || len(x.cpus) == 0 {
		return Finding{Check: f.Check, Mark: Unknown, Value: "the per-CPU statistics cannot be read"}
	}
	var texts, cures []string
	for _, n := range worrying {
		v, has := model.SumStats(x.cpus, n)
		if !has {
			continue
		}
		name := format.StatName(n, false)
		texts = append(texts, name+" "+strconv.FormatUint(v, 10))
		if v > 0 {
			f.Mark = Note
			cures = append(cures, name+": "+format.StatMeaning(n))
		}
	}
	f.Value = strings.Join(texts, ", ") + " since the namespace began"
	if f.Mark == Note {
		f.Value += " (" + strings.Join(cures, "; ") + ")"
		f.Cure = "\"ctview stats --watch\" tells whether it goes on"
	}
	return f
}

func (x *Exam) events() Finding {
	f := Finding{Check: "events"}
	switch s := x.sys.Events; {
	case !s.OK:
		f.Mark, f.Value = Unknown, "nf_conntrack_events cannot be read"
	case s.Value == 0:
		f.Mark, f.Value = Note, "nf_conntrack_events=0: "+finding.EventsOff
		f.Cure = x.sysctl("nf_conntrack_events", "1")
	case s.Value == 2:
		f.Value = "nf_conntrack_events=2: on while somebody listens; flows older than the first listener end without an event, " +
			"which ctview finds out by asking"
	default:
		f.Value = fmt.Sprintf("nf_conntrack_events=%d: every flow sends events", s.Value)
	}
	return f
}

// eventCharge is what the kernel charges the buffer for one event.
const eventCharge = 1280

func (x *Exam) buffer() Finding {
	f := Finding{Check: "buffer"}
	if x.join != nil {
		return Finding{Check: f.Check, Mark: Unknown, Value: "not tried: no event socket"}
	}
	f.Value = fmt.Sprintf("%s for events, some %d of them", model.AppendBytes(nil, uint64(x.rcvbuf)), x.rcvbuf/eventCharge)
	if x.forced {
		f.Value += " (SO_RCVBUFFORCE works)"
	}
	if x.advised < ctnl.DefaultRcvBuf {
		f.Value += ", an eighth of the memory that is free"
	}
	if !x.forced && x.rcvbuf < 2*x.advised {
		f.Mark = Note
		f.Value += ": net.core.rmem_max holds it down; storms may cost events, which ctview counts and repairs"
		f.Cure = fmt.Sprintf("sysctl -w net.core.rmem_max=%d, or CAP_NET_ADMIN in the first user namespace", x.advised)
	}
	return f
}

// setting judges a switch that is better on.
func (x *Exam) setting(name string, s model.Setting, on, off string) Finding {
	full := "nf_conntrack_" + name
	switch {
	case !s.OK:
		return Finding{Check: name, Mark: Unknown, Value: full + " cannot be read"}
	case s.Value == 0:
		return Finding{Check: name, Mark: Note, Value: full + "=0: " + off, Cure: x.sysctl(full, "1") + " (for flows that begin later)"}
	}
	return Finding{Check: name, Value: fmt.Sprintf("%s=%d: %s", full, s.Value, on)}
}
