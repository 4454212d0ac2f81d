package lab

import (
	"errors"
	"io/fs"
)

// settings writes the sysctls of the three namespaces. The router's timeouts are short where a state would otherwise
// stand still for minutes: the demo is to show life.
func (l *Lab) settings() error {
	if err := l.router.trackEverything(); err != nil {
		return err
	}
	type setting struct{ name, value string }
	all := []setting{
		// Crafted packets come from hosts that the routes do not name; nobody spoofs here but the lab itself.
		{"net/ipv4/conf/all/rp_filter", "0"}, {"net/ipv4/conf/default/rp_filter", "0"},
		{"net/ipv4/tcp_early_retrans", "0"}, // no tail loss probes; see attach
		{"net/ipv6/conf/default/accept_dad", "0"}, {"net/ipv6/conf/default/router_solicitations", "0"},
		{"net/ipv6/conf/all/disable_ipv6", "0"}, {"net/ipv6/conf/default/disable_ipv6", "0"},
	}
	router := []setting{
		{"net/ipv4/ip_forward", "1"}, {"net/ipv6/conf/all/forwarding", "1"},
		{"net/ipv4/conf/all/send_redirects", "0"}, {"net/ipv4/conf/default/send_redirects", "0"},
	}
	for _, s := range []setting{
		// The kernel checks UDP-Lite with UDP's number in the pseudo header and would call every datagram INVALID.
		{"checksum", "0"},
		{"sctp_timeout_established", "60"},
		{"tcp_timeout_syn_sent", "30"}, {"tcp_timeout_syn_recv", "20"}, {"tcp_timeout_fin_wait", "20"},
		{"tcp_timeout_close_wait", "30"}, {"tcp_timeout_last_ack", "20"}, {"tcp_timeout_time_wait", "10"},
		{"tcp_timeout_close", "10"}, {"udp_timeout", "10"}, {"udp_timeout_stream", "30"}, {"icmp_timeout", "10"},
		{"icmpv6_timeout", "10"}, {"generic_timeout", "30"}, {"gre_timeout", "15"}, {"gre_timeout_stream", "30"},
	} {
		router = append(router, setting{"net/netfilter/nf_conntrack_" + s.name, s.value})
	}
	for _, n := range []*NS{l.client, l.router, l.server} {
		set := all
		if n == l.router {
			set = append(set, router...)
		}
		for _, s := range set {
			// A kernel that does not have the setting does not need it, or shows its states for longer.
			if err := n.Sysctl(s.name, s.value); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
