package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ctview/ctnl/lab"
	"ctview/model"

	"github.com/google/go-cmp/cmp"
)

// TestListAgreesWithConntrack holds every flow and field of list -o json to conntrack -L -o extended,id of the same
// moment, on real traffic of every protocol, with NAT, zones, marks and a helper.
func TestListAgreesWithConntrack(t *testing.T) {
	l, ctx := newLab(t)
	everyProtocol(t, ctx, l)

	var want, got map[string]map[string]any
	agreed := false
	theirs := func() map[string]map[string]any {
		return parseConntrack(t, must(l.Router().Command("conntrack", "-L", "-o", "extended,id").Output())(t))
	}
	for range 20 { // a flow may change between two of them
		want = theirs()
		got = parseJSON(t, ctviewList(t, l.Router(), "-o", "json"))
		after := theirs()
		between(t, want, got, after)
		if agreed = cmp.Equal(want, got) || cmp.Equal(after, got); agreed {
			break
		}
	}
	if !agreed {
		t.Fatalf("list -o json and conntrack -L -o extended,id differ (-conntrack +ctview):\n%s", cmp.Diff(want, got))
	}
	covered(t, got)
}

// between takes for want's the time-outs of got that lie between those of want and of after: seconds may tick on the way.
func between(t *testing.T, want, got, after map[string]map[string]any) {
	t.Helper()
	for id, g := range got {
		if want[id] == nil || after[id] == nil {
			continue
		}
		b, e, a := seconds(t, want[id]), seconds(t, g), seconds(t, after[id])
		if b >= e && e >= a {
			want[id]["timeout"], after[id]["timeout"] = g["timeout"], g["timeout"]
		}
	}
}

func seconds(t *testing.T, flow map[string]any) (n int) {
	t.Helper()
	must(fmt.Sscan(fmt.Sprint(flow["timeout"]), &n))(t)
	return n
}

// everyProtocol makes a flow of each kind that the lab can.
func everyProtocol(t *testing.T, ctx context.Context, l *lab.Lab) {
	t.Helper()
	// The lab's flows are short-lived; on a busy machine the first would be gone before the last is made.
	for _, s := range []string{"udp_timeout", "icmp_timeout", "icmpv6_timeout", "gre_timeout", "tcp_timeout_syn_sent", "tcp_timeout_time_wait", "tcp_timeout_close"} {
		if err := l.Router().Sysctl("net/netfilter/nf_conntrack_"+s, "120"); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []lab.From{{}, {V6: true}, {Zone: 5}, {Zone: 7, V6: true}} {
		must(l.TCP(ctx, f, 443))(t)
		must(l.DNS(ctx, f))(t)
		must(l.Ping(ctx, f, 1, time.Millisecond))(t)
		must(l.GRE(ctx, f))(t)
		must(l.SCTP(ctx, f))(t)
		must(l.UDPLite(ctx, f))(t)
		must(l.DeadSYN(ctx, f))(t)
	}
	must(l.DNAT(ctx, lab.From{}))(t)
	must(l.NAT66(ctx))(t)
	must(l.Inbound(ctx))(t)
	ftp := must(l.FTP(ctx, lab.From{}))(t)
	must(ftp.Get(ctx, false, 1000, 0))(t)
	must(ftp.Lost(ctx))(t)
}

// covered fails if the table that was compared lacked something that the test promises to compare.
func covered(t *testing.T, flows map[string]map[string]any) {
	t.Helper()
	seen := map[string]bool{}
	for _, f := range flows {
		seen["proto "+fmt.Sprint(f["proto"])] = true
		seen["family "+fmt.Sprint(f["family"])] = true
		for _, k := range []string{"zone", "helper", "start"} {
			if f[k] != nil {
				seen[k] = true
			}
		}
		if fmt.Sprint(f["mark"]) != "0" {
			seen["mark"] = true
		}
		for _, s := range f["flags"].([]string) {
			seen[s] = true
		}
		o, r := f["orig"].(map[string]any), f["reply"].(map[string]any)
		seen["snat"] = seen["snat"] || o["src"] != r["dst"]
		seen["dnat"] = seen["dnat"] || o["dst"] != r["src"]
	}
	for _, k := range []string{"proto tcp", "proto udp", "proto icmp", "proto icmpv6", "proto gre", "proto sctp", "proto udplite",
		"family ipv4", "family ipv6", "zone", "helper", "mark", "snat", "dnat", "ASSURED", "UNREPLIED"} {
		if !seen[k] {
			t.Errorf("no flow with %s among the %d compared", k, len(flows))
		}
	}
}

// ctviewList runs ctview list on ns from outside, by --netns.
func ctviewList(t *testing.T, ns *lab.NS, args ...string) []byte {
	t.Helper()
	out, err := ctview(t, append([]string{"list", "--netns", ns.Path()}, args...)...).Output()
	if err != nil {
		t.Fatalf("ctview list %v: %v", args, err)
	}
	return out
}

// parseJSON reads list -o json into flows by id, in the shape that parseConntrack gives: what conntrack's text does
// not tell is left out, flags are those that it prints.
func parseJSON(t *testing.T, b []byte) map[string]map[string]any {
	t.Helper()
	flows := map[string]map[string]any{}
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		var f map[string]any
		dec := json.NewDecoder(bytes.NewReader(sc.Bytes()))
		dec.UseNumber()
		if err := dec.Decode(&f); err != nil {
			t.Fatalf("%v in %s", err, sc.Bytes())
		}
		var status []string
		for _, s := range f["status"].([]any) {
			status = append(status, s.(string))
		}
		flags := []string{}
		if !slices.Contains(status, "SEEN_REPLY") {
			flags = append(flags, "UNREPLIED")
		}
		if slices.Contains(status, "ASSURED") {
			flags = append(flags, "ASSURED")
		}
		f["flags"] = flags
		// Not in conntrack's line, or only as delta-time, which has no JSON field.
		for _, k := range []string{"status", "ctstate", "start", "tcp", "sctp", "labels", "master"} {
			delete(f, k)
		}
		for _, dir := range []string{"orig", "reply"} {
			tuple := map[string]any{}
			for k, v := range f[dir].(map[string]any) {
				tuple[k] = text(v)
			}
			f[dir] = tuple
		}
		for _, k := range slices.Collect(maps.Keys(f)) {
			switch f[k].(type) {
			case json.Number, string:
				f[k] = text(f[k])
			}
		}
		flows[f["id"].(string)] = f
	}
	return flows
}

func text(v any) string { return fmt.Sprint(v) }

// parseConntrack reads lines of conntrack -L -o extended,id.
func parseConntrack(t *testing.T, b []byte) map[string]map[string]any {
	t.Helper()
	flows := map[string]map[string]any{}
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		f := parseConntrackLine(t, strings.Fields(sc.Text()))
		flows[f["id"].(string)] = f
	}
	return flows
}

func parseConntrackLine(t *testing.T, w []string) map[string]any {
	t.Helper()
	// ipv4 2 tcp 6 431996 ESTABLISHED src=… dst=…
	f := map[string]any{"family": w[0], "proto": w[2], "proto_num": w[3], "timeout": w[4]}
	if f["proto"] == "unknown" {
		f["proto"] = w[3]
	}
	proto, err := model.ParseProto(w[3])
	if err != nil {
		t.Fatal(err)
	}
	flags := []string{}
	dir := "" // the tuple that key=value words belong to; each begins with src=
	for _, word := range w[5:] {
		key, value, isPair := strings.Cut(word, "=")
		if !isPair {
			if strings.HasPrefix(word, "[") {
				flags = append(flags, strings.Trim(word, "[]"))
			} else {
				f["state"] = word
			}
			continue
		}
		if key == "src" {
			dir = map[string]string{"": "orig", "orig": "reply"}[dir]
			f[dir] = map[string]any{}
		}
		field, inTuple := tupleField(proto, key)
		if tuple, _ := f[dir].(map[string]any); inTuple && tuple[field] == nil {
			tuple[field] = tupleValue(key, value)
		} else if key != "delta-time" {
			f[key] = value
		}
	}
	slices.Sort(flags)
	slices.Reverse(flags) // UNREPLIED before ASSURED, as parseJSON has them
	f["flags"] = flags
	return f
}

// tupleField returns the JSON name of a key of conntrack's tuples.
func tupleField(p model.Proto, key string) (string, bool) {
	switch key {
	case "src", "dst", "sport", "dport", "srckey", "dstkey", "packets", "bytes":
		return key, true
	case "type", "code", "id":
		return "icmp_" + key, p.IsICMP()
	case "zone-orig", "zone-reply":
		return "zone", true
	}
	return "", false
}

// tupleValue returns value as JSON has it: keys of GRE in decimal.
func tupleValue(key, value string) string {
	if strings.HasSuffix(key, "key") {
		if n, err := strconv.ParseUint(value, 0, 32); err == nil {
			return strconv.FormatUint(n, 10)
		}
	}
	return value
}
