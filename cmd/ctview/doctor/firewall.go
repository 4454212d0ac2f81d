package doctor

import (
	"fmt"
	"strings"

	"ctview/model"
)

// What ctview can use beside the table: firewalls, helpers, loggers, namespaces.

func (x *Exam) nfTables() Finding {
	f := Finding{Check: "nf_tables"}
	switch {
	case x.firewallErr != nil:
		f.Mark, f.Value = Unknown, "not told to this user"
	case !x.firewall.NFTables:
		f.Mark, f.Value = Note, "not in this kernel: \"ctview notrack\" uses iptables, \"ctview states\" cannot count"
		f.Cure = "modprobe nf_tables"
	default:
		f.Value = "there, " + model.Plural(x.firewall.Rules, "rule")
	}
	return f
}

func (x *Exam) iptables() Finding {
	f := Finding{Check: "iptables"}
	switch {
	case x.firewallErr != nil:
		f.Mark, f.Value = Unknown, "not told to this user"
	case len(x.firewall.Legacy) == 0:
		f.Value = "no legacy tables"
	default:
		f.Value = "legacy tables, beside those of nf_tables: " + strings.Join(x.firewall.Legacy, ", ")
	}
	return f
}

func (x *Exam) helper() Finding {
	f := Finding{Check: "helpers", Value: "none in this kernel now (they come as modules nf_conntrack_…)"}
	if len(x.helpers) > 0 {
		f.Value = "in this kernel: " + strings.Join(x.helpers, ", ")
	}
	switch {
	case x.firewallErr != nil:
		f.Value += "; which rules use them is not told to this user"
	case len(x.firewall.Helpers) == 0:
		f.Value += "; no rule gives a flow one"
	default:
		f.Value += fmt.Sprintf("; given by %s, such as %s", model.Plural(len(x.firewall.Helpers), "rule"), x.firewall.Helpers[0])
	}
	return f
}

func (x *Exam) invalid() Finding {
	f := Finding{Check: "log_invalid"}
	switch s := x.logInvalid; {
	case !s.OK:
		f.Mark, f.Value = Unknown, "nf_conntrack_log_invalid cannot be read"
	case s.Value == 0:
		f.Value = "nf_conntrack_log_invalid=0: packets that cannot be tracked are counted, not logged"
	default:
		what := fmt.Sprintf("packets of protocol %d", s.Value)
		if s.Value == 255 {
			what = "packets of every protocol"
		}
		f.Value = fmt.Sprintf("nf_conntrack_log_invalid=%d: %s that cannot be tracked are logged", s.Value, what)
		if x.loggers[0] == "NONE" && x.loggers[1] == "NONE" {
			f.Mark, f.Value = Note, f.Value+", but "+x.where()+" has no logger"
			f.Cure = "write nfnetlink_log to /proc/sys/net/netfilter/nf_log/2 and /10 there"
		}
	}
	return f
}

func (x *Exam) demo() Finding {
	f := Finding{Check: "demo", Value: "user namespaces can be made: \"ctview demo\" needs no root"}
	if x.userns != nil {
		f.Mark, f.Value = Note, "this user can make no user namespace ("+x.userns.Error()+"): \"ctview demo\" needs root"
		f.Cure = "look at user.max_user_namespaces, kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns"
	}
	return f
}

// processes tells what the columns pid, proc, user and cgroup will show.
func (x *Exam) processes() Finding {
	f := Finding{Check: "processes", Value: "who holds the socket of a flow that ends here is seen (pid, proc, user, cgroup)"}
	switch {
	case x.sockets != nil:
		f.Mark, f.Value = Note, "who holds the socket of a flow that ends here is not seen: sockets: "+strings.TrimPrefix(x.sockets.Error(), "ctnl: sockets: ")
		f.Cure = "load the modules tcp_diag and udp_diag, or a kernel with CONFIG_INET_DIAG"
	case !x.looks:
		f.Mark, f.Value = Note, "of flows that end here the user is seen (user), of other users' processes nothing (pid, proc)"
		f.Cure = "run it as root, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH beside CAP_NET_ADMIN"
	}
	return f
}

func (x *Exam) privileges() Finding {
	f := Finding{Check: "privileges", Value: "all but CAP_NET_ADMIN are out of effect; commands that look into no other process open few files"}
	switch {
	case !x.confines:
		f.Mark, f.Value, f.Cure = Note, "kept, all that ctview is started with: it was built with cgo", "build it with CGO_ENABLED=0, as make build does"
	case x.landlock == 0:
		f.Value = "all but CAP_NET_ADMIN are out of effect; this kernel has no Landlock, so files are refused by their owners alone"
	}
	return f
}
