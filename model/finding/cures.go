package finding

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ctview/model"
)

// Rules are what a cure must know of this machine's packet filter. The zero value is not known.
type Rules struct {
	Netns  string // as --netns takes it, "" for ctview's own
	Known  bool
	Chains []Chain   // base chains that filter
	Drops  bool      // one of them at the forward hook drops what no rule accepts
	NAT    []NATRule // that translate sources
	// Targets are where rules translate destinations to; OtherTargets says that there are more, which are not known.
	Targets      []NATRule
	OtherTargets bool
	// Modules are the helpers' modules that are loaded or built in, without nf_conntrack_; Helpers are the rules that give one.
	Modules   []string
	Helpers   []HelperRule
	Zoned     []Zoned
	Elsewhere []Elsewhere
	Local     []netip.Addr
}

// A Chain is a base chain of a packet filter. Names are as the kernel has them, not escaped.
type Chain struct {
	Tool   string // what its rules are written with: nft, iptables, iptables-nft, iptables-legacy
	Family string // ip, ip6 or inet
	Table  string
	Name   string
	Hook   string // input, forward or output
}

// InNetns puts a command before which it runs in the namespace that ctview was asked for with --netns; "" is its own.
func InNetns(netns, cmd string) string {
	_, err := strconv.Atoi(netns)
	switch {
	case netns == "":
		return cmd
	case strings.Contains(netns, "/"):
		return "nsenter --net=" + Word(netns) + " " + cmd
	case err == nil:
		return "nsenter --net --target " + netns + " " + cmd
	}
	return "ip netns exec " + Word(netns) + " " + cmd
}

// here puts before a command what runs it in the namespace; "" stays.
func (in *Input) here(cmd string) string {
	if cmd == "" {
		return ""
	}
	return InNetns(in.Rules.Netns, cmd)
}

// Sysctl returns the command that writes a setting of conntrack in a namespace.
func Sysctl(netns, name, value string) string {
	return InNetns(netns, "sysctl -w net.netfilter."+name+"="+value)
}

func sysctl(in *Input, name, value string) string { return Sysctl(in.Rules.Netns, name, value) }

func netnsFlag(in *Input) string {
	if in.Rules.Netns == "" {
		return ""
	}
	return " --netns " + Word(in.Rules.Netns)
}

// Word quotes a text for a shell where it needs it.
func Word(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:@%+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// local reports whether an address is this machine's.
func (in *Input) local(f model.Family, a [16]byte) bool {
	return slices.Contains(in.Rules.Local, f.Addr(a))
}

// forget is the command that deletes flows, which asks first.
func (in *Input) forget(filter string) Cure {
	return Cure{"delete these flows, after a question", "ctview delete '" + filter + "'" + netnsFlag(in)}
}

// block keeps new flows of a source out.
func (in *Input) block(f model.Family, src [16]byte, toUs bool) Cure {
	a := address(f, src)
	return Cure{"drop new flows of " + a, in.rule(f, hook(toUs), saddr(f)+" "+a+" ct state new counter drop",
		"-s "+a+" -m conntrack --ctstate NEW -j DROP")}
}

// limitTo holds a source to n flows.
func (in *Input) limitTo(f model.Family, src [16]byte, n int) Cure {
	a := address(f, src)
	return Cure{fmt.Sprintf("no more than %s flows of %s", count(n), a), in.rule(f, "forward",
		fmt.Sprintf("%s %s ct state new ct count over %d counter drop", saddr(f), a, n),
		fmt.Sprintf("-s %s -m conntrack --ctstate NEW -m connlimit --connlimit-above %d -j DROP", a, n))}
}

// slow lets so many new flows to a target through each second.
func (in *Input) slow(t *Target, perSecond int) Cure {
	a := address(t.Family, t.Addr)
	proto := t.Proto.String()
	return Cure{"let " + model.Plural(perSecond, "new flow") + " a second through to it", in.rule(t.Family, hook(in.local(t.Family, t.Addr)),
		fmt.Sprintf("%s %s %s dport %d ct state new limit rate over %d/second counter drop", strings.Replace(saddr(t.Family), "saddr", "daddr", 1),
			a, proto, t.Port, perSecond),
		fmt.Sprintf("-d %s -p %s --dport %d -m conntrack --ctstate NEW -m hashlimit --hashlimit-above %d/sec --hashlimit-name ctview -j DROP",
			a, proto, t.Port, perSecond))}
}

func hook(toUs bool) string {
	if toUs {
		return "input"
	}
	return "forward"
}

func saddr(f model.Family) string {
	if f == model.IPv6 {
		return "ip6 saddr"
	}
	return "ip saddr"
}

// rule is the command that puts a rule first in the chain of a hook that this machine's packet filter has for the family;
// where it has none, one that makes a chain for it.
func (in *Input) rule(f model.Family, hook, nft, xt string) string {
	if !in.Rules.Known {
		return ""
	}
	family := "ip"
	if f == model.IPv6 {
		family = "ip6"
	}
	for _, c := range in.Rules.Chains {
		if c.Hook != hook || c.Family != "inet" && c.Family != family {
			continue
		}
		if c.Tool == "nft" {
			return InNetns(in.Rules.Netns, "nft insert rule "+c.Family+" "+Word(c.Table)+" "+Word(c.Name)+" "+nft)
		}
		tool := c.Tool
		if f == model.IPv6 {
			tool = strings.Replace(tool, "iptables", "ip6tables", 1)
		}
		return InNetns(in.Rules.Netns, tool+" -t "+Word(c.Table)+" -I "+Word(c.Name)+" "+xt)
	}
	return InNetns(in.Rules.Netns, "nft 'add table inet guard; add chain inet guard "+hook+" { type filter hook "+hook+" priority 0; }; add rule inet guard "+
		hook+" "+nft+"'")
}

// ListCommand is the command that lists the flows of a filter in a namespace as --netns takes it.
func ListCommand(netns, filter string) string {
	in := Input{Rules: Rules{Netns: netns}}
	return "ctview list" + netnsFlag(&in) + " '" + filter + "'"
}
