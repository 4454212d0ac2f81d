package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ctview/model"
)

const tupleHelp = `a flow is named as: tcp 192.168.1.10:51022 203.0.113.7:443 [zone N], ` +
	`udp [2001:db8::1]:53 [2001:db8::2]:53, icmp 10.0.0.1 to 10.0.0.2 type 8 id 7, gre 10.0.0.1 to 10.0.0.2`

// tupleTopic is tupleHelp for the pages of help.
const tupleTopic = `

FLOW is one of
  tcp 192.168.1.10:51022 203.0.113.7:443 [zone N]
  udp [2001:db8::1]:53 [2001:db8::2]:53
  icmp 10.0.0.1 to 10.0.0.2 type 8 id 7
  gre 10.0.0.1 to 10.0.0.2`

// looksLikeTuple reports whether the words name one flow and are not a filter: a protocol and two endpoints with ports,
// or two endpoints with an arrow or "to" between them. Neither is a filter.
func looksLikeTuple(words []string) bool {
	if len(words) < 3 {
		return false
	}
	if _, err := model.ParseProto(words[0]); err != nil {
		return false
	}
	if isArrow(words[2]) {
		return true
	}
	_, _, p1, err1 := parseEndpoint(words[1])
	_, _, p2, err2 := parseEndpoint(words[2])
	return err1 == nil && err2 == nil && p1 && p2
}

func isArrow(w string) bool { return w == ">" || w == "->" || w == "to" }

// parseTuple reads the words PROTO SRC [to] DST {OPTION VALUE} into a key. Its errors are usage errors.
func parseTuple(words []string) (model.Key, error) {
	var k model.Key
	if len(words) < 3 {
		return k, tupleError("the name of a flow is too short")
	}
	proto, err := model.ParseProto(words[0])
	if err != nil {
		return k, tupleError("%v", err)
	}
	k.Proto = proto
	rest := words[1:]
	if len(rest) > 1 && isArrow(rest[1]) {
		rest = slices.Delete(slices.Clone(rest), 1, 2)
	}
	if len(rest) < 2 {
		return k, tupleError("the destination is missing")
	}
	if err := endpoints(&k, rest[0], rest[1]); err != nil {
		return k, err
	}
	return k, tupleOptions(&k, rest[2:])
}

func tupleError(format string, args ...any) error {
	return usageError{"flow: " + fmt.Sprintf(format, args...), tupleHelp}
}

// endpoints reads source and destination.
func endpoints(k *model.Key, src, dst string) error {
	var addrs [2]netip.Addr
	for i, w := range []string{src, dst} {
		a, port, has, err := parseEndpoint(w)
		if err != nil {
			return tupleError("bad address %q", w)
		}
		switch {
		case has && !k.Proto.HasPorts():
			return tupleError("%q: %s has no ports", w, k.Proto)
		case !has && k.Proto.HasPorts():
			return tupleError("%q: %s needs a port, as in %s", w, k.Proto, netip.AddrPortFrom(a, 80))
		}
		addrs[i] = a
		if i == 0 {
			k.Sport = port
		} else {
			k.Dport = port
		}
	}
	if addrs[0].Is4() != addrs[1].Is4() {
		return tupleError("%s and %s are of different families", src, dst)
	}
	k.Family = model.IPv6
	if addrs[0].Is4() {
		k.Family = model.IPv4
	}
	k.Src, k.Dst = model.AddrBytes(addrs[0]), model.AddrBytes(addrs[1])
	return nil
}

// parseEndpoint reads ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT.
func parseEndpoint(w string) (a netip.Addr, port uint16, hasPort bool, err error) {
	if ap, err := netip.ParseAddrPort(w); err == nil {
		return ap.Addr().Unmap(), ap.Port(), true, nil
	}
	a, err = netip.ParseAddr(w)
	return a.Unmap(), 0, false, err
}

// tupleOptions reads the pairs after the endpoints.
func tupleOptions(k *model.Key, words []string) error {
	for len(words) > 0 {
		name := words[0]
		if len(words) < 2 {
			return tupleError("%q needs a value", name)
		}
		limit := uint64(65535)
		if name == "type" || name == "code" {
			limit = 255
		}
		n, err := strconv.ParseUint(words[1], 0, 16)
		if err != nil || n > limit {
			return tupleError("%s %q: not a number from 0 to %d", name, words[1], limit)
		}
		v := uint16(n)
		icmp, gre := k.Proto.IsICMP(), k.Proto == model.ProtoGRE
		switch {
		case name == "zone":
			k.Zone = v
		case name == "orig-zone":
			k.Zone, k.ZoneDir = v, model.ZoneOrig
		case name == "reply-zone":
			k.Zone, k.ZoneDir = v, model.ZoneReply
		case name == "type" && icmp:
			k.Dport = v<<8 | k.Dport&0xff
		case name == "code" && icmp:
			k.Dport = k.Dport&0xff00 | v
		case name == "id" && icmp:
			k.Sport = v
		case name == "srckey" && gre:
			k.Sport = v
		case name == "dstkey" && gre:
			k.Dport = v
		default:
			return tupleError("unknown option %q for %s", name, k.Proto)
		}
		words = words[2:]
	}
	return nil
}

// splitWords splits arguments as the shell left them once more, so that one quoted argument does as well as many.
func splitWords(args []string) []string { return strings.Fields(strings.Join(args, " ")) }
