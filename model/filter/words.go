package filter

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"ctview/model"
)

// field is what a predicate compares.
type field uint8

const (
	fieldAddr field = iota
	fieldPort
	fieldBytes
	fieldPackets
	fieldAvgPkt
	fieldRate
	fieldPPS
	fieldAge
	fieldTimeout
	fieldLived
	fieldEnded
	fieldZone
	fieldMark
	fieldID
	fieldICMPType
	fieldICMPCode
	fieldICMPID
	fieldSrcKey
	fieldDstKey
	fieldPID
	fieldState
	fieldCtState
	fieldPhase
	fieldProto
	fieldFamily
	fieldStatus
	fieldHelper
	fieldLabel
	fieldSecctx
	fieldProc
	fieldUser
	fieldCgroup
	fieldIif
	fieldOif
	fieldFlag
	fieldText
	fieldSaved
	fieldCount
)

// shape is how the values of a field are written.
type shape uint8

const (
	shapeOther  shape = iota
	shapeAmount       // a comparison and a value with a unit
	shapeNumber       // numbers, ranges, masks
	shapeName         // words
)

// A fieldInfo tells about a field. Max is the largest number; sided fields take orig and reply.
type fieldInfo struct {
	name  string
	shape shape
	sided bool
	max   uint64
	want  string // what a value is
	like  string // what values look like
	eg    string // one of them
	noun  string // what is missing when the kernel does not tell; "" where it always does
	hint  string // for completion
}

var fieldInfos = [fieldCount]fieldInfo{
	fieldAddr: {name: "host",
		want: "an address", like: "10.0.0.1, 10.0.0.0/8, 2001:db8::/32 or {10.0.0.1, 10.0.0.2}", eg: "10.0.0.1"},
	fieldPort: {name: "port", max: 1<<16 - 1, want: "a port", like: "443, 8000-8999, https or {80, 443}", eg: "443"},
	fieldBytes: {name: "bytes", shape: shapeAmount, sided: true, max: 1<<64 - 1,
		want: "a number of bytes", like: "4096, 10M or 1.5Gi", eg: "10M", noun: "byte count", hint: "bytes of both directions"},
	fieldPackets: {name: "packets", shape: shapeAmount, sided: true, max: 1<<64 - 1,
		want: "a number of packets", like: "100 or 10k", eg: "10k", noun: "packet count", hint: "packets of both directions"},
	fieldAvgPkt: {name: "avgpkt", shape: shapeAmount, sided: true, max: 1<<64 - 1,
		want: "a number of bytes", like: "100 or 1k", eg: "100", noun: "byte count", hint: "mean bytes of a packet"},
	fieldRate: {name: "rate", shape: shapeAmount, sided: true, max: 1<<64 - 1,
		want: "a rate", like: "100k or 1MB/s in bytes, 5Mbit in bits", eg: "1MB/s", noun: "rate", hint: "bytes a second now"},
	fieldPPS: {name: "pps", shape: shapeAmount, sided: true, max: 1<<64 - 1,
		want: "a packet rate", like: "100 or 10k", eg: "100", noun: "packet rate", hint: "packets a second now"},
	fieldAge: {name: "age", shape: shapeAmount, max: 1<<63 - 1,
		want: "a time", like: "30s, 5m, 2h or 1d12h", eg: "30s", noun: "age", hint: "time since its start"},
	fieldTimeout: {name: "timeout", shape: shapeAmount, max: 1<<63 - 1,
		want: "a time", like: "30s, 5m, 2h or 1d12h", eg: "30s", noun: "timeout", hint: "time until it ends when idle"},
	fieldLived: {name: "lived", shape: shapeAmount, max: 1<<63 - 1,
		want: "a time", like: "1s, 5m or 2h", eg: "1s", noun: "age", hint: "of flows that ended: their whole life"},
	fieldEnded: {name: "ended", shape: shapeAmount, max: 1<<63 - 1,
		want: "a time", like: "30s, 2m or 1h", eg: "2m", hint: "how long ago it ended"},
	fieldZone: {name: "zone", shape: shapeNumber, sided: true, max: 1<<16 - 1,
		want: "a number", like: "5 or {0, 5}", eg: "5", hint: "zone of both directions"},
	fieldMark: {name: "mark", shape: shapeNumber, max: 1<<32 - 1,
		want: "a number", like: "16, 0x10 or 0x10/0xf0", eg: "0x10", hint: "mark, also with a mask"},
	fieldID: {name: "id", shape: shapeNumber, max: 1<<32 - 1,
		want: "a number", like: "3409467955", eg: "3409467955", hint: "the kernel's id of the flow"},
	fieldICMPType: {name: "icmp_type", shape: shapeNumber, sided: true, max: 1<<8 - 1,
		want: "a number", like: "8", eg: "8", hint: "ICMP type"},
	fieldICMPCode: {name: "icmp_code", shape: shapeNumber, sided: true, max: 1<<8 - 1,
		want: "a number", like: "0", eg: "0", hint: "ICMP code"},
	fieldICMPID: {name: "icmp_id", shape: shapeNumber, sided: true, max: 1<<16 - 1,
		want: "a number", like: "4711", eg: "4711", hint: "ICMP identifier"},
	fieldSrcKey: {name: "srckey", shape: shapeNumber, sided: true, max: 1<<16 - 1,
		want: "a number", like: "0x10", eg: "16", hint: "GRE key of the source"},
	fieldDstKey: {name: "dstkey", shape: shapeNumber, sided: true, max: 1<<16 - 1,
		want: "a number", like: "0x10", eg: "16", hint: "GRE key of the destination"},
	fieldPID: {name: "pid", shape: shapeNumber, sided: true, max: 1<<31 - 1,
		want: "a number", like: "1234 or {1234, 1240}", eg: "1234", noun: "process", hint: "process that holds its socket here"},
	fieldState: {name: "state", shape: shapeName,
		want: "a state", like: "established, syn_sent or {close, time_wait}", eg: "established", hint: "as in the STATE column"},
	fieldCtState: {name: "ctstate", shape: shapeName,
		want: "a state", like: "new, established or related", eg: "new", hint: "as nft's ct state"},
	fieldPhase: {name: "phase", shape: shapeName,
		want: "a phase", like: "opening, open, closing or closed", eg: "open", hint: "where in its life"},
	fieldProto: {name: "proto", shape: shapeName,
		want: "a protocol", like: "tcp, udp, 50 or {tcp, udp}", eg: "tcp", hint: "protocol by name or number"},
	fieldFamily: {name: "family", shape: shapeName, want: "a family", like: "ipv4 or ipv6", eg: "ipv4", hint: "ipv4 or ipv6"},
	fieldStatus: {name: "status", shape: shapeName,
		want: "a status bit", like: "assured, seen_reply, helper …", eg: "assured", hint: "a bit that is set"},
	fieldHelper: {name: "helper", shape: shapeName,
		want: "a helper's name", like: "ftp, {sip, ftp} or none", eg: "ftp", hint: "conntrack helper"},
	fieldLabel: {name: "label", shape: shapeName,
		want: "a label", like: "its name, its bit or none", eg: "3", hint: "connection label"},
	fieldSecctx: {name: "secctx", shape: shapeName,
		want: "a security context", like: `"system_u:object_r:…" or none`, eg: "none", hint: "security context"},
	fieldProc: {name: "proc", shape: shapeName, sided: true,
		want: "a process's name", like: "sshd, {nginx, haproxy} or none", eg: "sshd", noun: "process", hint: "process that holds its socket here"},
	fieldUser: {name: "user", shape: shapeName, sided: true,
		want: "a user", like: "www-data, its number or none", eg: "www-data", noun: "user", hint: "user of its socket here"},
	fieldCgroup: {name: "cgroup", shape: shapeName, sided: true,
		want: "a cgroup", like: "ssh.service, \"/system.slice/ssh.service\", a container or none", eg: "ssh.service", noun: "cgroup",
		hint: "cgroup of its process here"},
	fieldIif: {name: "iif", shape: shapeName,
		want: "an interface", like: "eth0, {lan, wifi} or none", eg: "eth0", noun: "known route", hint: "where a forwarded flow comes in, by the routes"},
	fieldOif: {name: "oif", shape: shapeName,
		want: "an interface", like: "eth0, {wan, wan2} or none", eg: "eth0", noun: "known route", hint: "where a forwarded flow leaves, by the routes"},
}

// flag is a word that is a whole predicate.
type flag uint8

const (
	flagAssured flag = iota
	flagReplied
	flagUnreplied
	flagSNAT
	flagDNAT
	flagNAT
	flagOffload
	flagExpected
	flagDying
	flagFixed
	flagForwarded
	flagLocal
	flagCount
)

var flagNames = [flagCount]string{"assured", "replied", "unreplied", "snat", "dnat", "nat", "offload", "expected",
	"dying", "fixed", "forwarded", "local"}

var flagHints = [flagCount]string{"will not be dropped early", "a reply was seen", "no reply yet", "source translated",
	"destination translated", "translated", "in a flowtable", "by a helper", "about to go", "timeout does not change", "neither end is on this machine", "both ends are on this machine"}

// fieldWords are the words that begin a comparison, by their folded form.
var fieldWords = map[string]field{
	"src": fieldAddr, "dst": fieldAddr, "saddr": fieldAddr, "daddr": fieldAddr, "host": fieldAddr, "net": fieldAddr,
	"sport": fieldPort, "dport": fieldPort, "port": fieldPort, "proto_src": fieldPort, "proto_dst": fieldPort,
	"bytes": fieldBytes, "packets": fieldPackets, "avgpkt": fieldAvgPkt, "rate": fieldRate, "pps": fieldPPS,
	"age": fieldAge, "lived": fieldLived, "timeout": fieldTimeout, "expiration": fieldTimeout,
	"zone": fieldZone, "mark": fieldMark, "id": fieldID,
	"icmp_type": fieldICMPType, "icmp_code": fieldICMPCode, "icmp_id": fieldICMPID,
	"srckey": fieldSrcKey, "dstkey": fieldDstKey,
	"state": fieldState, "ctstate": fieldCtState, "phase": fieldPhase,
	"proto": fieldProto, "protocol": fieldProto, "family": fieldFamily, "l3proto": fieldFamily,
	"status": fieldStatus, "helper": fieldHelper, "label": fieldLabel, "secctx": fieldSecctx,
	"pid": fieldPID, "proc": fieldProc, "process": fieldProc, "user": fieldUser, "uid": fieldUser, "cgroup": fieldCgroup,
	"container": fieldCgroup, "iif": fieldIif, "iifname": fieldIif, "oif": fieldOif, "oifname": fieldOif,
}

// flagWords are the flags that are no protocol and no family.
var flagWords = func() map[string]flag {
	m := map[string]flag{}
	for i, n := range flagNames {
		m[n] = flag(i)
	}
	m[wordEnded] = flagDying // as one says it of events
	return m
}()

var sideWords = map[string]side{"orig": sideOrig, "original": sideOrig, "reply": sideReply}

var familyWords = map[string]model.Family{"ip": model.IPv4, "ip6": model.IPv6, "ipv4": model.IPv4, "ipv6": model.IPv6}

// moreProtos are protocols that conntrack(8) knows by number only.
var moreProtos = map[string]model.Proto{"igmp": 2, "ipip": 4, "esp": 50, "ah": 51, "ospf": 89, "vrrp": 112, "l2tp": 115}

// flagProtos are the protocols that are words of the language.
var flagProtos = []model.Proto{model.ProtoTCP, model.ProtoUDP, model.ProtoICMP, model.ProtoICMPv6, model.ProtoSCTP, model.ProtoDCCP, model.ProtoGRE, model.ProtoUDPLite}

func protoWord(w string) (model.Proto, bool) {
	for _, p := range flagProtos {
		if p.Name() == w {
			return p, true
		}
	}
	return 0, false
}

// wordMaster stands before an address, a port or the helper of the flow that a flow was expected by; "expected by ftp" is
// "master helper ftp".
const (
	wordMaster = "master"
	wordBy     = "by"
)

// wordEnded is a flag, and with a time how long ago that was: "ended 2m", "ended > 10s".
const wordEnded = "ended"

// wordNone is the value of a name that is not there: helper none.
const wordNone = "none"

// isReserved reports whether the folded word w joins predicates and so is no value unless quoted.
func isReserved(w string) bool { return w == "and" || w == "or" || w == "not" || w == "in" }

// foreignWords are what other tools call things, with our word.
var foreignWords = map[string][]string{
	"source": {"src"}, "destination": {"dst"}, "srcip": {"src"}, "dstip": {"dst"}, "ip.src": {"src"},
	"ip.dst": {"dst"}, "ip.addr": {"host"}, "addr": {"host"}, "address": {"host"}, "srcport": {"sport"},
	"dstport": {"dport"}, "portrange": {"port"}, "tcp.port": {"tcp and port"}, "udp.port": {"udp and port"},
	"tcp.dstport": {"tcp and dport"}, "tcp.srcport": {"tcp and sport"}, "expire": {"timeout"}, "expires": {"timeout"},
	"expired": {"timeout"}, "connmark": {"mark"}, "ct_state": {"ct state"}, "ct_status": {"status"},
	"ct_mark": {"mark"}, "ct_zone": {"zone"}, "l4proto": {"proto"}, "th": {"port"}, "ip4": {"ip"}, "inet": {"ip"},
	"inet6": {"ip6"}, "icmp6": {"icmpv6"}, "ping": {"icmp"}, "connlabel": {"label"}, "size": {"bytes"},
	"speed": {"rate"}, "bps": {"rate"}, "seen_reply": {"replied"}, "natted": {"nat"},
	"masquerade": {"snat"}, "gateway": {"host"}, "gw": {"host"},
	"unassured": {"not assured"}, "offloaded": {"offload"}, "fixed_timeout": {"fixed"}, "src_nat": {"snat"},
	"dst_nat": {"dnat"}, "comm": {"proc"}, "command": {"proc"}, "program": {"proc"}, "skuid": {"user"}, "service": {"cgroup"},
	"loopback": {"local"}, "forward": {"forwarded"},
}

// foreignNames are the keys of foreignWords, in order.
var foreignNames = sync.OnceValue(func() []string { return slices.Sorted(maps.Keys(foreignWords)) })

// wellKnownHelpers are the kernel's conntrack helpers, for advice and completion.
var wellKnownHelpers = []string{"ftp", "sip", "tftp", "irc", "amanda", "h323", "netbios-ns", "pptp", "sane", "snmp",
	"Q.931", "RAS", "H.245"}

// servicePort looks name up as typed, in lower case, and with "-" for "_".
func servicePort(name string, opt *Options) (uint16, bool) {
	lower := strings.ToLower(name)
	for _, n := range []string{name, lower, strings.ReplaceAll(lower, "_", "-")} {
		if p, ok := model.ServicePort(n); ok {
			return p, true
		}
		if opt.Services != nil {
			if p, ok := opt.Services(n); ok {
				return p, true
			}
		}
	}
	return 0, false
}

// stateWords are the texts of the STATE column in small letters, in the order for completion.
var stateWords = sync.OnceValue(func() []string {
	words := []string{"established"}
	for _, p := range []model.Proto{model.ProtoTCP, model.ProtoSCTP, model.ProtoDCCP} {
		for _, n := range model.StateNames(p) {
			if w := foldWord(n); !slices.Contains(words, w) && w != wordNone {
				words = append(words, w)
			}
		}
	}
	return append(words, "replied", "unreplied", "offload", "none") // none: the trackers' state before the first
})

var (
	ctStateWords = []string{"new", "established", "related", "invalid", "untracked"} // by CtState - 1
	phaseWords   = []string{"opening", "open", "closing", "closed"}                  // by Phase - 1
)

// primaryWords are all words that can begin a predicate, for suggestions.
var primaryWords = sync.OnceValue(func() []string {
	var ws []string
	for w := range fieldWords {
		ws = append(ws, w)
	}
	ws = append(ws, flagNames[:]...)
	for _, p := range flagProtos {
		ws = append(ws, p.Name())
	}
	ws = append(ws, "ip", "ip6", "orig", "original", "reply", wordMaster, "ct", "and", "or", "not")
	slices.Sort(ws)
	return ws
})
