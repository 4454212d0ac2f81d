package ctcompat

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"ctview/model"
)

// quiet are the command letters that end by themselves and change nothing on an empty table.
var opLines = []string{"-L", "-G", "-D", "-I", "-A", "-U", "-F", "-C", "-S", "-V", "-h", "-L expect", "-G expect", "-D expect",
	"-I expect", "-F expect", "-C expect", "-S expect", "-L dying", "-L unconfirmed"}

// optionLines is every general option with a value that is right.
var optionLines = []string{"-s 1.1.1.1", "-d 1.1.1.2", "-r 1.1.1.2", "-q 1.1.1.1", "-p tcp", "-p 50", "-t 5", "-u ASSURED", "-z",
	"-e NEW", "--tuple-src 1.1.1.1", "--tuple-dst 1.1.1.2", "--mask-src 255.0.0.0", "--mask-dst 255.0.0.0", "-a x", "-m 5",
	"-i 5", "-f ipv4", "-f ipv6", "-n", "-g", "-n 1.2.3.4", "-g 1.2.3.4", "-o id", "-o xml", "-o save", "-b 5", "-j", "-w 5",
	"-l customer", "--label-add customer", "--label-del customer", "--label-del", "--orig-zone 5", "--reply-zone 5"}

// deviates reports whether ctview knowingly does something else with a command line; docs/conntrack-compat.md tells why.
func deviates(line string) bool {
	w := strings.Fields(line)
	has := func(opt string) bool { return slices.Contains(w, opt) }
	switch {
	case has("-V"): // the version line names ctview
		return true
	case has("-D") && !strings.HasPrefix(line, "-D expect"): // bare -D, -D -t
		filters := []string{"-s", "-d", "-r", "-q", "-p", "-m", "-u", "-i", "-n", "-g", "-w", "-l", "-f", "--orig-zone", "--reply-zone"}
		if !slices.ContainsFunc(filters, has) {
			return true
		}
		compares := slices.DeleteFunc(filters, func(s string) bool { return s == "-n" || s == "-g" || s == "-f" })
		return has("-t") && !slices.ContainsFunc(compares, has)
	case has("-c") && (has("-L") || has("-E")):
		return true
	case has("-z") && (has("-n") || has("-g") || has("-j")):
		return true
	case (has("-U") || has("-G")) && (has("-w") || has("--orig-zone") || has("--reply-zone")):
		return true
	case has("-F") && has("-f"):
		return true
	}
	return false
}

// TestLegality compares what conntrack says of every command with every option, and with every pair.
func TestLegality(t *testing.T) {
	w := newWorld(t)
	for _, op := range opLines {
		w.sameUnless(op)
		for i, a := range optionLines {
			w.sameUnless(op + " " + a)
			if !strings.HasPrefix(op, "-L") && i%3 == 0 {
				continue
			}
			for j := i + 1; j < len(optionLines); j += 13 {
				w.sameUnless(op + " " + a + " " + optionLines[j])
			}
		}
	}
}

func (w *world) sameUnless(line string) {
	w.t.Helper()
	if !deviates(line) {
		w.same(line)
	}
}

// TestProtoLegality compares every option of every protocol with every command.
func TestProtoLegality(t *testing.T) {
	w := newWorld(t)
	tuple := map[string]string{"-G": " -s 1.1.1.1 -d 2.2.2.2", "-I": " -s 1.1.1.1 -d 2.2.2.2 -t 9", "-A": " -s 1.1.1.1 -d 2.2.2.2 -t 9",
		"-D": "", "-U": " -f ipv4", "-D expect": " -s 1.1.1.1 -d 2.2.2.2", "-G expect": " -s 1.1.1.1 -d 2.2.2.2",
		"-I expect": " -s 1.1.1.1 -d 2.2.2.2 -t 9 --tuple-src 1.1.1.1 --tuple-dst 2.2.2.2 --mask-src 255.255.255.255 --mask-dst 255.255.255.255"}
	for _, p := range protocols {
		for _, op := range opLines {
			if op == "-V" || op == "-L dying" || op == "-L unconfirmed" {
				continue
			}
			base := fmt.Sprintf("%s%s -p %s", op, tuple[op], p.name)
			if p.num != model.ProtoDCCP || op != "-I" && op != "-A" { // see TestDeviations
				w.same(base)
			}
			for _, o := range p.long {
				w.same(base + " --" + o.name + " " + goodValue(p, o))
			}
			for n := 2; n <= 4; n++ { // the first n options together
				line := base
				for _, o := range p.long[:min(n, len(p.long))] {
					line += " --" + o.name + " " + goodValue(p, o)
				}
				if op != "-I" && op != "-A" && op != "-I expect" {
					w.same(line)
				}
			}
		}
	}
}

func goodValue(p *protocol, o protoOption) string {
	switch p.fields[o.n] {
	case fState:
		return map[string]string{"tcp": "SYN_SENT", "sctp": "CLOSED", "dccp": "OPEN"}[p.name]
	case fRole:
		return "client"
	}
	return "5"
}

// TestWords compares spellings, values and errors.
func TestWords(t *testing.T) {
	w := newWorld(t)
	for line := range strings.Lines(wordLines) {
		if line = strings.TrimSpace(line); line != "" {
			w.same(line)
		}
	}
	w.same("")
}

// wordLines is one command line each; ” stands for an empty word, ~ for a blank in one.
const wordLines = `
-h
--help
--he
--hel
-h -p tcp
-h -p udp
-h -p udplite
-h -p sctp
-h -p dccp
-h -p icmp
-h -p icmpv6
-h -p gre
-h -p 50
-h -p esp
-h -p ESP
-h -p 254
-h -p foo
-h -p 6
-h -p 0x6
-h -p 006
-h -p ~6
-h -p 256
-h -p -1
-h -p 6x
-h -p ''
-h -p tcp -p udp
-h -p TCP
-h -p Tcp
-h -p ipv6-icmp
-h -s 1.1.1.1
-h expect
-h dying
-h foo
-h -L
-h -h
-V foo
-V dying
-V -L
-L -V
-L -L
-L -D
-L c
-L conntrack
-L co
-L conntrackx
-L e
-L exp
-L expect
-L d
-L u
-L unc
-L x
-L junk
-L conntrack junk more
junk -L
junk -L more
junk
junk more
-
-L -
- -L
-L --
-L -- -z
-- -L
--
-L -- junk
-C
-C c
-C e
-C dying
-C x
--counter
--count
--cou
--co
-S
-S expect
-S e
-S x
-S c
--stats
--stats=5
--st
--sta
--stat
-L --stat ASSURED
-L --statu ASSURED
-L --state ESTABLISHED
-F
-F c
-F expect
-F e
-F dying
--flush
--flu
--fl
--f
-G
-G expect
-G dying
-I dying
-U expect
-A expect
-U dying
-E dying
-D dying
--dump
--dum
--du
--d
--dump conntrack
--dump expect
--dump dying
--dump bad
--dump junk junk
-s
-L -s
-L -s 1.2.3.4 -s
-L --src
-L --src=
-L --src=1.2.3.4
-L --sr=1.2.3.4
-L --sr 1.2.3.4
-L --orig-src 1.2.3.4
-L --orig-s 1.2.3.4
-L --orig 1.2.3.4
-L --orig- 1.2.3.4
-L --ori
-L --rep
-L --reply-s 1.2.3.4
-L --reply-d 1.2.3.4
-L --reply 1.2.3.4
-L --mask-s 1.2.3.4
-L --mask 1.2.3.4
-L --tuple-s 1.2.3.4
-L --lab
-L --label
-L --label customer
-L --label=customer
-L --labe customer
-L --label- customer
-L --out id
-L --output id
-L --o id
-L --zo
-L --zon 5
-L --zone 5
-L --zer
-L --zero
-L --buf 5
-L --ev NEW
-L --event-mask NEW
-L --event-m NEW
-L --bogus
-L --bogus=5
-L --=5
-L ---
-L ---src
-L -x
-L -xyz
-xL
-zL
-zzL
-zx
-L -zx
-L -zs 1.1.1.1
-L -zs
-L -s1.1.1.1
-L -s1.1.1.1x
-L -oid
-L -oxml
-L -o=id
-L -fipv4
-L -fipv4 -fipv6
-L -f ipv4x
-L -f ipv
-L -f inet
-L -f IPV4
-L -f ''
-L -ptcp
-L -ptcp --sport 5
-L --sport 5 -p tcp
-L --sport 5
-L -p tcp --spo 5
-L -p tcp --s 5
-L -p tcp --sp 5
-L -p tcp --src 1.1.1.1
-L -p tcp --orig-port-src 5
-L -p tcp --orig-port 5
-L -p tcp --orig-p 5
-L -p tcp --reply-port-s 5
-L -p tcp --reply-port- 5
-L -p tcp --d 5
-L -p tcp --dp 5
-L -p tcp --dpor 5
-L -p tcp --sta ESTABLISHED
-L -p tcp --state ESTABLISHED
-L -p tcp --state=ESTABLISHED
-L -p tcp --state established
-L -p tcp --state LISTEN
-L -p tcp --state BOGUS
-L -p tcp --state ''
-L -p tcp --state
-L -p tcp --sport
-L -p dccp --state BOGUS
-L -p dccp --state OPEN
-L -p dccp --role client
-L -p sctp --state ESTABLISHED
-L -p sctp --orig-vtag 5
-L -p tcp -p udp --sport 5
-L -p tcp -p udp --spor 5
-L -p udp -p tcp --state ESTABLISHED
-L -p tcp -p icmp --sport 5
-L -p icmp -p tcp --icmp-type 5
-L -p tcp -p sctp --sport 5
-L -p sctp -p tcp --sport 5
-L -p tcp -p 50 --sport 5
-L -p tcp -p gre --sport 5
-L -p gre --srckey 5
-L -p gre --srckey 0x5
-L -p gre --orig-key-src 5
-L -p gre --sport 5
-L -p 50 --sport 5
-L -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 5
-L -p icmp --icmpv6-type 8
-L -p icmpv6 --icmpv6-type 8
-L -p icmpv6 --icmp-type 8
-L -p 58 --icmpv6-type 8
-L -p ipv6-icmp --icmpv6-type 8
-L -p esp
-L -p foo
-L -p 300
-L -p -5
-L -s 1.2.3
-L -s 1.2
-L -s 1
-L -s 0
-L -s 0x7f000001
-L -s 0177.1
-L -s 08
-L -s 300
-L -s 1.2.3.256
-L -s 1.2.3.4.5
-L -s 1.2.3.4.
-L -s .1
-L -s 4294967295
-L -s 4294967296
-L -s ''
-L -s foo
-L -s 1.2.3.x
-L -s 1.2.3.4~foo
-L -s 1.2.3.4/24
-L -s 1.2.3.4/32
-L -s 1.2.3.4/0
-L -s 1.2.3.4/33
-L -s 1.2.3.4/-1
-L -s 1.2.3.4/+8
-L -s 1.2.3.4/x
-L -s 1.2.3.4/24x
-L -s 1.2.3.4/24/24
-L -s /24
-L -s ::1
-L -s ::1/64
-L -s ::1/128
-L -s ::1/129
-L -s ::1/0
-L -s ::
-L -s ::ffff:1.2.3.4
-L -s 1::2::3
-L -s ::1%lo
-L -s [::1]
-L -s 1:2:3:4:5:6:7:8
-L -s 1:2:3:4:5:6:7:8:9
-L -s 0001:0002:0003:0004:0005:0006:0007:0008/120
-L -s 1.1.1.1 -d ::1
-L -s 1.1.1.1 -f ipv6
-L -f ipv6 -s 1.1.1.1
-L -s ::1 -f ipv6
-L -s 1.1.1.1 -r ::1
-L -r 1.2.3.4/24
-L -q 1.2.3.4/24
-L -r 1.2.3.4/99
-L -r foo
-L --mask-src 255.0.0.0
-L --mask-dst 255.0.0.0
-L -s 1.1.1.1 --mask-src 255.0.0.0
-L -d 1.1.1.1 --mask-dst 255.0.0.0
-L -s 1.1.1.1 --mask-dst 255.0.0.0
-L --mask-src 255.0.0.0/8
-L --tuple-src 1.1.1.1
-L --tuple-src 1.1.1.1/8
-L --tuple-src 1.1.1.1/99
-L -n
-L -n 1.2.3.4
-L -n 1.2.3.4:80
-L -n 1.2.3.4:
-L -n 1.2.3.4:x
-L -n 1.2.3.4:80x
-L -n 1.2.3.4:99999
-L -n 1.2.3.4:-1
-L -n 1.2.3.4/24
-L -n :80
-L -n foo
-L -n ::1
-L -n [::1]
-L -n [::1
-L -n []:80
-L -n [::1]:80
-L -n [::1]:
-L -n [::1]:x
-L -n [foo]:80
-L -n x[::1]:80
-L -n [::1]y:80
-L -n -g
-L -n 1.2.3.4 -g 1.2.3.5
-L -n 1.2.3.4 -g ::1
-L -n -j
-L -g -j
-L -j
-L -j 1.2.3.4
-L -j 1.2.3.4:80
-L -j foo
-L -j 1.2.3.4/5
-L -n !
-L -z
-L -z -s 1.1.1.1
-L -z -p tcp
-L -z -m 5
-L -z -u ASSURED
-L -z -w 5
-L -z -l customer
-L -z -f ipv6
-L -z -o id
-L -u ASSURED
-L -u assured
-L -u A
-L -u ASSURED,SEEN_REPLY
-L -u ASSURED,
-L -u ,ASSURED
-L -u ''
-L -u BOGUS
-L -u ASSURED,BOGUS
-L -u BOGUS,ASSURED
-L -u ASSUREDX
-L -u UNSET
-L -u UNREPLIED
-L -u unreplied
-L -u UNREPLIEDx
-L -u UNREP
-L -u !ASSURED
-L -u !
-L -u !,ASSURED
-L -u !BOGUS
-L -u ASSURED,!
-L -u EXPECTED
-L -u FIXED_TIMEOUT
-L -u OFFLOAD
-L -u HW_OFFLOAD
-L -u O
-L -u SRC_NAT
-L -u DST_NAT
-L -u src_nat
-L -u S
-L -u SRC_NAT,ASSURED
-L -u ASSURED,DST_NAT
-L -u !SRC_NAT
-L -o xml
-L -o XML
-L -o x
-L -o ext
-L -o extended,id,ktimestamp
-L -o timestamp
-L -o t
-L -o ktimestamp
-L -o k
-L -o labels
-L -o l
-L -o userspace
-L -o u
-L -o save
-L -o sa
-L -o sav
-L -o SAVE
-L -o save,xml
-L -o save,id
-L -o id,save
-L -o save -o xml
-L -o save,userspace
-L -o save,save
-L -o json
-L -o ''
-L -o ,
-L -o id,
-L -o ,id
-L -o id,,xml
-L -o id,bogus,xml
-L -o idx
-L -e NEW
-L -b 5
-L -i 5
-L --id=5
-L -c
-L -t 5
-L -a
-L -a x
-L -a x -a y
-L -m 5
-L -m 0x5
-L -m 05
-L -m 5/0xff
-L -m 4294967295
-L -w 5
-L -w 0x5
-L -w 0
-L --orig-zone 5
-L --reply-zone 5
-L -w 5 --orig-zone 5
-L -l customer
-L -l customer,eth0-in
-L -l bogus
-L -l customer,bogus
-L -l bogus,customer
-L -l ''
-L -l customer,
-L -l ,customer
-L -l two~words
-L -l hex
-L -l far
-L -l bad_name
-L -l customer -l eth0-in
-L -l customer -o labels
-L --label-add customer
-L --label-del
-I
-I -s 1.1.1.1
-I -s 1.1.1.1 -d 2.2.2.2
-I -s 1.1.1.1 -d 2.2.2.2 -p tcp
-I -s 1.1.1.1 -p tcp -t 5
-I -r 1.1.1.1 -p tcp -t 5
-I -p tcp -t 5
-I -s 1.1.1.1 -r 1.1.1.1 -p tcp -t 5
-I -s 1.1.1.1 -d 2.2.2.2 -p tcp -t 5
-I -s 1.1.1.1 -d 2.2.2.2 -p tcp -t 5 --sport 5
-I -s 1.1.1.1 -d 2.2.2.2 -p tcp -t 5 --sport 5 --dport 5
-I -s 1.1.1.1 -d 2.2.2.2 -p tcp -t 5 --sport 5 --dport 5 --state BOGUS
-I -s 1.1.1.1 -d 2.2.2.2 -p tcp -t 5 --state ESTABLISHED
-I -s 1.1.1.1 -d 2.2.2.2 -p tcp -t 5 --state ESTABLISHED --reply-port-src 5
-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 5
-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 5 --reply-port-src 5
-I -s 1.1.1.1 -d 2.2.2.2 -p dccp -t 5 --reply-port-src 5 --state OPEN --role client
-I -s 1.1.1.1 -d 2.2.2.2 -p dccp -t 5 --sport 5 --dport 5
-I -s 1.1.1.1 -d 2.2.2.2 -p dccp -t 5 --sport 5 --dport 5 --state OPEN
-I -s 1.1.1.1 -d 2.2.2.2 -p dccp -t 5 --sport 5 --dport 5 --state OPEN --role bogus
-I -s 1.1.1.1 -d 2.2.2.2 -p sctp -t 5 --sport 5 --dport 5
-I -s 1.1.1.1 -d 2.2.2.2 -p sctp -t 5 --sport 5 --dport 5 --state CLOSED
-I -s 1.1.1.1 -d 2.2.2.2 -p sctp -t 5 --sport 5 --dport 5 --state CLOSED --orig-vtag 5
-I -s 1.1.1.1 -d 2.2.2.2 -p gre -t 5
-I -s 1.1.1.1 -d 2.2.2.2 -p gre -t 5 --srckey 5
-I -s 1.1.1.1 -d 2.2.2.2 -p gre -t 5 --reply-key-src 5
-I -s 1.1.1.1 -d 2.2.2.2 -p icmp -t 5
-I -s 1.1.1.1 -d 2.2.2.2 -p icmp -t 5 --icmp-type 8
-I -s 1.1.1.1/24 -d 2.2.2.2 -p udp -t 5 --sport 1 --dport 1
-I -s 1.1.1.1/32 -d 2.2.2.2 -p icmp -t 5
-I -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 1
-I -s 1.1.1.1 -d 2.2.2.2 -p icmp -t 5 --icmp-type 5 --icmp-code 0
-U
-U -f ipv4
-U -f ipv4 -m 5
-U -f ipv6 -m 5
-U -s 1.1.1.1 -m 5
-U -f ipv4 --label-add customer --label-del eth0-in
-U -f ipv4 --label-del customer
-U -f ipv4 --label-add bogus
-U -f ipv4 --label-add
-G -p tcp
-G -s 1.1.1.1 -d 2.2.2.2
-G -s 1.1.1.1 -p tcp
-G -s 1.1.1.1 -d 2.2.2.2 -p tcp
-G -s 1.1.1.1 -d 2.2.2.2 -p tcp --sport 1
-G -s 1.1.1.1 -d 2.2.2.2 -p tcp --sport 1 --dport 1
-G -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 1 -o xml
-G -s 1.1.1.1/24 -d 2.2.2.2 -p udp --sport 1 --dport 1
-G -s 1.1.1.1 -d 2.2.2.2 -p icmp --icmp-type 8 --icmp-code 0
-G -s 1.1.1.1 -d 2.2.2.2 -p icmp --icmp-type 8
-G -s ::1 -d ::2 -p icmpv6 --icmpv6-type 128 --icmpv6-code 0
-G -s 1.1.1.1 -d 2.2.2.2 -p 50
-G expect -s 1.1.1.1 -d 2.2.2.2 -p tcp
-G expect -s 1.1.1.1 -d 2.2.2.2 -p tcp --sport 1 --dport 1
-G expect -s 1.1.1.1 -d 2.2.2.2 -p tcp --sport 1 --dport 1 --reply-port-src 1 --reply-port-dst 1
-G expect -s 1.1.1.1 -d 2.2.2.2 -p 50
-D expect -s 1.1.1.1 -d 2.2.2.2 -p tcp --sport 1 --dport 1 --reply-port-src 1 --reply-port-dst 1
-D expect -s 1.1.1.1 -d 2.2.2.2 -p 50
-D expect
-D expect -s 1.1.1.1
-D -s 1.1.1.1
-D -p tcp --sport 5
-D -w 5
-D -m 5
-D -i 5
-D --id=5
-D -l customer
-D -n
-D -g 1.2.3.4
-D -f ipv6
-D -u ASSURED
-D -s 1.1.1.1 -t 5
-D -s 1.1.1.1 -z
-D -j
-D -p tcp --state BOGUS
-I expect
-I expect -s 1.1.1.1 -d 2.2.2.2 -p tcp -t 5
-I expect -s 1.1.1.1 -d 2.2.2.2 -p udp -t 5 --tuple-src 1.1.1.1 --tuple-dst 2.2.2.2 --mask-src 255.255.255.255 --mask-dst 255.255.255.255
-I expect -s 1.1.1.1 -d 2.2.2.2 -p udp -t 5 --tuple-src 1.1.1.1/32 --tuple-dst 2.2.2.2 --mask-src 255.255.255.255 --mask-dst 255.255.255.255 --sport 1 --dport 1
-I expect -s 1.1.1.1 -d 2.2.2.2 -p udp -t 5 --tuple-src 1.1.1.1 --tuple-dst 2.2.2.2 --mask-src 255.255.255.255 --mask-dst 255.255.255.255 --sport 1 --dport 1 --mask-port-src 1 --mask-port-dst 1 --tuple-port-src 1 --tuple-port-dst 1
-L expect -s 1.1.1.1
-L expect -f ipv6
-L expect -o xml
-L expect -o id,extended
-L expect -o save
-C expect -f ipv6
-E expect -e NEW
-E -e ''
-E -e BOGUS
-E -e NEW,BOGUS
-E -z
-E -t 5
-E -u ASSURED
-E -i 5
-E -s foo
-E -p tcp --mask-port-src 5
-E --mask-src 255.0.0.0
-R
--load-file
-R /does/not/exist
--load-file /does/not/exist
--load-file=/does/not/exist
-L -R x
-p tcp
-s 1.1.1.1
-z
-o xml
-[ 1.1.1.1
-L -[ 1.1.1.1
-L -{ 1.1.1.1
-L -s 1.1.1.1 -{ 255.0.0.0
-L -( 5
-L -) 5
-L -<
-L ->
-L -s 1.1.1.1 -L
-L -w
-L -m
`

// TestNoLabels compares what is said where connlabel.conf is missing, or names nothing.
func TestNoLabels(t *testing.T) {
	w := newWorld(t)
	lines := []string{"-L -o labels", "-L -o labels -o labels", "-L -l customer", "-L -l customer,x -o labels", "-U -f ipv4 --label-add x",
		"-U -f ipv4 --label-del x", "-U -f ipv4 --label-del", "-L -o labels -l x", "-L -l ''", "-E -l x", "-I --label-add x"}
	w.write(connlabelConf, "# nothing\n")
	for _, l := range lines {
		w.same(l)
	}
	if err := os.Remove(connlabelConf); err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		w.same(l)
	}
}
