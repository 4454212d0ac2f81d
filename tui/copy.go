package tui

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"

	"ctview/model"
	"ctview/model/format"

	"ctview/tui/draw"
)

// conntrackArgs are the options with which conntrack(8) names the flow.
func conntrackArgs(k *model.Key) string {
	b := "-p " + k.Proto.String()
	if k.Family == model.IPv6 {
		b = "-f ipv6 " + b
	}
	b += " -s " + k.Family.Addr(k.Src).String()
	t := k.OrigTuple()
	switch {
	case k.Proto.HasPorts():
		b += " --sport " + strconv.Itoa(int(k.Sport)) + " -d " + k.Family.Addr(k.Dst).String() + " --dport " + strconv.Itoa(int(k.Dport))
	case k.Proto.IsICMP():
		typ, code, id := t.ICMP()
		b += fmt.Sprintf(" -d %s --icmp-type %d --icmp-code %d --icmp-id %d", k.Family.Addr(k.Dst), typ, code, id)
		if k.Proto == model.ProtoICMPv6 {
			b = strings.ReplaceAll(b, "--icmp-", "--icmpv6-")
		}
	default:
		b += " -d " + k.Family.Addr(k.Dst).String()
	}
	if k.Zone != 0 || k.ZoneDir != model.ZoneBoth {
		opt := [...]string{" -w ", " --orig-zone ", " --reply-zone "}[k.ZoneDir%3]
		b += opt + strconv.Itoa(int(k.Zone))
	}
	return b
}

// flowFilter is a filter that matches the flow and its like only.
func flowFilter(k *model.Key) string {
	b := "proto " + k.Proto.String() + " and src " + k.Family.Addr(k.Src).String() + " and dst " + k.Family.Addr(k.Dst).String()
	if k.Proto.HasPorts() {
		b += fmt.Sprintf(" and sport %d and dport %d", k.Sport, k.Dport)
	}
	return b + " and zone " + strconv.Itoa(int(k.Zone))
}

// tcpdumpFor is the command that shows the packets of the flow on every interface, before and after NAT.
func tcpdumpFor(f *model.Flow) string {
	var hosts []string
	seen := map[netip.Addr]bool{}
	for _, a := range [][16]byte{f.Dst, f.ReplySrc} {
		if x := f.Family.Addr(a); !seen[x] {
			seen[x] = true
			hosts = append(hosts, "host "+x.String())
		}
	}
	b := "tcpdump -ni any " + hosts[0]
	if len(hosts) > 1 {
		b = "tcpdump -ni any '(" + strings.Join(hosts, " or ") + ")"
	}
	if f.Proto.HasPorts() {
		b += fmt.Sprintf(" and port %d and port %d", f.Dport, f.Sport)
	}
	if len(hosts) > 1 {
		b += "'"
	}
	return b
}

// nftMatch is how a rule of nft matches the original direction of the flow.
func nftMatch(k *model.Key) string {
	ip := "ip"
	if k.Family == model.IPv6 {
		ip = "ip6"
	}
	b := fmt.Sprintf("%s saddr %s %s daddr %s", ip, k.Family.Addr(k.Src), ip, k.Family.Addr(k.Dst))
	switch {
	case k.Proto.HasPorts():
		b += fmt.Sprintf(" %s sport %d %s dport %d", k.Proto, k.Sport, k.Proto, k.Dport)
	default:
		b += " meta l4proto " + k.Proto.String()
	}
	return b
}

// copyChoices are the texts of a row that can be taken away.
func (a *App) copyChoices(r *model.Row) []valueChoice {
	k := &r.Flow.Key
	t := k.OrigTuple()
	var e model.Event
	format.FillEvent(&e, &r.Flow, &r.Extra, a.now.UnixNano())
	args := conntrackArgs(k)
	return []valueChoice{
		{"t", "tuple", k.Proto.String() + " " + string(draw.AppendPair(nil, &t))},
		{"f", "filter", flowFilter(k)},
		{"l", "list", "conntrack -L " + args},
		{"d", "delete", "conntrack -D " + args},
		{"c", "tcpdump", tcpdumpFor(&r.Flow)},
		{"n", "nft match", nftMatch(k)},
		{"x", "conntrack line", string(format.AppendConntrack(nil, &e, format.Options{Fix: format.FixAll}))},
		{"j", "JSON", string(format.AppendJSON(nil, &e, format.Options{}))},
	}
}

// copyMenu offers what can be copied of the current row.
func (s *flows) copyMenu(a *App) {
	if r, _ := s.current(); r != nil {
		a.pushCopy(r)
	}
}

func (a *App) pushCopy(r *model.Row) {
	cs := a.copyChoices(r)
	m := &menu{head: "copy to the terminal's clipboard (OSC 52)"}
	for _, c := range cs {
		m.choices = append(m.choices, choice{key: c.key, text: c.label + strings.Repeat(" ", max(16-len(c.label), 2)) + model.Escape(c.filter)})
	}
	m.pick = func(a *App, i int, _ string) tea.Cmd {
		a.pop()
		return a.copy(cs[i].filter)
	}
	a.push(m)
}

// copyLimit is what terminals and multiplexers still take in one OSC 52.
const copyLimit = 74994

// copy puts text into the terminal's clipboard.
func (a *App) copy(text string) tea.Cmd {
	text = strings.TrimRight(text, "\n")
	if len(text) > copyLimit {
		a.fail("too long for the terminal's clipboard: w writes it to a file")
		return nil
	}
	a.say("copied: " + draw.Clip(model.Escape(text), max(a.w-12, 20), a.marks.Ellipsis))
	return tea.SetClipboard(text)
}
