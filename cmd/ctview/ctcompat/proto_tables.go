package ctcompat

import "ctview/model"

// protocols are those that conntrack has options for.
var protocols = []*protocol{
	{
		name: "gre", num: model.ProtoGRE, base: '0',
		fields: []field{fSport, fDport, fReplySport, fReplyDport, fMaskSport, fMaskDport, fTupleSport, fTupleDport},
		names: []string{"srckey", "dstkey", "reply-key-src", "reply-key-dst", "mask-key-src", "mask-key-dst",
			"tuple-key-src", "tuple-key-dst"},
		long: []protoOption{{"orig-key-src", 0}, {"srckey", 0}, {"orig-key-dst", 1}, {"dstkey", 1}, {"reply-key-src", 2},
			{"reply-key-dst", 3}, {"mask-key-src", 4}, {"mask-key-dst", 5}, {"tuple-key-src", 6}, {"tuple-key-dst", 7}},
		legal: portLegal("", "", "", "!!!!!!!!"),
		pairs: [2]string{"`--srckey' and `--dstkey'", "`--reply-src-key' and `--reply-dst-key'"},
		help: "  --orig-key-src\t\toriginal source key\n" +
			"  --orig-key-dst\t\toriginal destination key\n" +
			"  --reply-key-src\t\treply source key\n" +
			"  --reply-key-dst\t\treply destination key\n" +
			"  --mask-key-src\t\tmask source key\n" +
			"  --mask-key-dst\t\tmask destination key\n" +
			"  --tuple-key-src\t\texpectation tuple src key\n" +
			"  --tuple-key-src\t\texpectation tuple dst key\n",
	},
	icmpProtocol("icmpv6", model.ProtoICMPv6),
	icmpProtocol("icmp", model.ProtoICMP),
	{
		name: "dccp", num: model.ProtoDCCP,
		fields: append(append([]field(nil), stateFields...), fRole),
		names:  append(append([]string(nil), stateNames...), "role"),
		long:   append(append([]protoOption(nil), statefulLong...), protoOption{"role", 9}),
		legal:  portLegal("o...", "!..!", "o...", "!!..!!.!!!"),
		pairs:  [2]string{portPair, "`--reply-port-src' and `--report-port-dst'"},
		help:   portHelp + "  --state\t\t\tDCCP state, fe. RESPOND\n",
	},
	{
		name: "sctp", num: model.ProtoSCTP,
		fields: append(append([]field(nil), stateFields...), fVTagOrig, fVTagReply),
		names:  append(append([]string(nil), stateNames...), "orig-vtag", "reply-vtag"),
		long:   append(append([]protoOption(nil), statefulLong...), protoOption{"orig-vtag", 9}, protoOption{"reply-vtag", 10}),
		legal:  sctpLegal(),
		pairs:  [2]string{portPair, replyPair},
		help: portHelp + "  --state\t\t\tSCTP state, fe. ESTABLISHED\n" +
			"  --orig-vtag\t\toriginal verification tag\n" +
			"  --reply-vtag\t\treply verification tag\n",
	},
	udpProtocol("udplite", model.ProtoUDPLite),
	udpProtocol("udp", model.ProtoUDP),
	{
		name: "tcp", num: model.ProtoTCP, base: '0',
		fields: stateFields, names: stateNames, long: statefulLong,
		legal: portLegal("o..", "!..", "o..", "!!..!!.!!"),
		pairs: [2]string{portPair, replyPair},
		help:  portHelp + "  --state\t\t\tTCP state, fe. ESTABLISHED\n",
	},
}

// unknownProtocol is every other one: no options.
var unknownProtocol = protocol{name: "unknown", help: "  no options (unsupported)\n"}

var (
	stateFields = []field{fSport, fDport, fReplySport, fReplyDport, fMaskSport, fMaskDport, fState, fTupleSport, fTupleDport}
	stateNames  = []string{"sport", "dport", "reply-port-src", "reply-port-dst", "mask-port-src", "mask-port-dst", "state",
		"tuple-port-src", "tuple-port-dst"}
	statefulLong = []protoOption{{"orig-port-src", 0}, {"sport", 0}, {"orig-port-dst", 1}, {"dport", 1},
		{"reply-port-src", 2}, {"reply-port-dst", 3}, {"mask-port-src", 4}, {"mask-port-dst", 5}, {"state", 6},
		{"tuple-port-src", 7}, {"tuple-port-dst", 8}}
)

const (
	portPair  = "`--sport' and `--dport'"
	replyPair = "`--reply-src-port' and `--reply-dst-port'"

	portHelp = "  --orig-port-src\t\toriginal source port\n" +
		"  --orig-port-dst\t\toriginal destination port\n" +
		"  --reply-port-src\t\treply source port\n" +
		"  --reply-port-dst\t\treply destination port\n" +
		"  --mask-port-src\t\tmask source port\n" +
		"  --mask-port-dst\t\tmask destination port\n" +
		"  --tuple-port-src\t\texpectation tuple src port\n" +
		"  --tuple-port-src\t\texpectation tuple dst port\n"
)

// portLegal makes the table of a protocol with ports (or keys): the four ports, two masks, then what list, create and
// get say of the rest. expect is the whole row of -I expect.
func portLegal(list, create, get, expect string) map[opCode]string {
	return map[opCode]string{
		opList: "oooo.." + list, opCreate: "????.." + create, opUpdate: "oooo.." + list, opDelete: "oooo.." + list,
		opGet: "????.." + get, opEvent: "oooo.." + list, opAdd: "????.." + create,
		expCreate: expect, expDelete: "!!!!", expGet: "!!!!",
	}
}

func sctpLegal() map[opCode]string {
	m := portLegal("o..", "!..!!", "o..oo", "!!..!!.!!!!")
	m[opUpdate] = "oooo..o..oo"
	return m
}

func udpProtocol(name string, num model.Proto) *protocol {
	return &protocol{
		name: name, num: num, base: '0',
		fields: []field{fSport, fDport, fReplySport, fReplyDport, fMaskSport, fMaskDport, fTupleSport, fTupleDport},
		names: []string{"sport", "dport", "reply-port-src", "reply-port-dst", "mask-port-src", "mask-port-dst",
			"tuple-port-src", "tuple-port-dst"},
		long: []protoOption{{"orig-port-src", 0}, {"sport", 0}, {"orig-port-dst", 1}, {"dport", 1}, {"reply-port-src", 2},
			{"reply-port-dst", 3}, {"mask-port-src", 4}, {"mask-port-dst", 5}, {"tuple-port-src", 6}, {"tuple-port-dst", 7}},
		legal: portLegal("", "", "", "!!..!!!!"),
		pairs: [2]string{portPair, replyPair},
		help:  portHelp,
	}
}

func icmpProtocol(name string, num model.Proto) *protocol {
	p := &protocol{name: name, num: num, base: '0', fields: []field{fICMPType, fICMPCode, fICMPID}}
	for i, word := range []string{"type", "code", "id"} {
		p.names = append(p.names, name+"-"+word)
		p.long = append(p.long, protoOption{name + "-" + word, i})
		p.help += "  --" + name + "-" + word + "\t\t\t" + name + " " + word + "\n"
	}
	p.legal = map[opCode]string{opList: "ooo", opCreate: "!!o", opUpdate: "ooo", opDelete: "ooo", opGet: "!!o",
		opEvent: "ooo", opAdd: "!!o"}
	return p
}
