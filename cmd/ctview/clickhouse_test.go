package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ctview/ctnl/lab"
	"ctview/ctnl/lab/labtest"
)

// sqlDir has the schema and the queries that docs/fleet.md tells of.
const sqlDir = "../../packaging/clickhouse"

// A house is a ClickHouse server of Debian's in a namespace of its own.
type house struct {
	ns     *lab.NS
	router string // what load.sh calls this machine
}

// newHouse starts the server with nothing in it but the schema.
func newHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"config.xml": `<yandex><logger><level>warning</level><console>1</console></logger><listen_host>127.0.0.1</listen_host>
<tcp_port>9000</tcp_port><path>` + dir + `/data/</path><tmp_path>` + dir + `/tmp/</tmp_path><mark_cache_size>5000000</mark_cache_size>
<users_config>users.xml</users_config><default_profile>default</default_profile><default_database>default</default_database></yandex>`,
		"users.xml": `<yandex><profiles><default/></profiles><quotas><default/></quotas><users><default><password></password>
<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users></yandex>`,
	} {
		labtest.Must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	h := &house{ns: newNS(t), router: must(os.Hostname())(t)}
	server := labtest.Command(h.ns, "clickhouse-server", "--config-file="+dir+"/config.xml")
	var log bytes.Buffer
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatalf("%v (make test installs it)", err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	})
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := labtest.Command(h.ns, "clickhouse-client", "--query", "SELECT 1").Run()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("clickhouse-server does not answer: %v\n%s", err, &log)
		}
	}
	schema := must(os.ReadFile(sqlDir + "/schema.sql"))(t)
	h.client(t, string(schema))
	return h
}

// client returns what the server answers, a line a row.
func (h *house) client(t *testing.T, sql string) (rows []string) {
	t.Helper()
	cmd := labtest.Command(h.ns, "clickhouse-client", "--multiquery", "--format", "TSV")
	cmd.Stdin = strings.NewReader(sql)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, sql, out)
	}
	for line := range strings.Lines(string(out)) {
		rows = append(rows, strings.TrimSuffix(line, "\n"))
	}
	return rows
}

// ask returns the chosen columns of what a query answers, sorted. The server is older than parameters, which have the form
// {name:Type}: they are put in as text.
func (h *house) ask(t *testing.T, query string, columns []int, args ...string) []string {
	t.Helper()
	sql := string(must(os.ReadFile(filepath.Join(sqlDir, query+".sql")))(t))
	for i := 0; i < len(args); i += 2 {
		sql = strings.ReplaceAll(sql, "{"+args[i]+"}", args[i+1])
	}
	var rows []string
	for _, row := range h.client(t, sql) {
		cells := strings.Split(row, "\t")
		if cells[0] != h.router {
			t.Errorf("%s: a row of router %q, want %q", query, cells[0], h.router)
		}
		var chosen []string
		for _, c := range columns {
			chosen = append(chosen, cells[c])
		}
		rows = append(rows, strings.Join(chosen, " "))
	}
	slices.Sort(rows)
	return rows
}

// load cuts what events wrote into files as docs/fleet.md says, and has load.sh hand them over.
func (h *house) load(t *testing.T, events []byte) {
	t.Helper()
	dir := t.TempDir()
	split := exec.Command("split", "-l", "100", "-a", "6", "-d", `--filter=cat >"$FILE.part" && mv "$FILE.part" "$FILE.json"`, "-", dir+"/1.")
	split.Stdin = bytes.NewReader(events)
	if out, err := split.CombinedOutput(); err != nil {
		t.Fatalf("split: %v\n%s", err, out)
	}
	labtest.Must(t, os.WriteFile(dir+"/2.000000.part", []byte(`{"event":"ne`), 0o600)) // not finished
	if out, err := labtest.Command(h.ns, "sh", sqlDir+"/load.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("load.sh: %v\n%s", err, out)
	}
	if left := must(filepath.Glob(dir + "/*"))(t); len(left) != 1 {
		t.Errorf("load.sh left %q, want the unfinished file alone", left)
	}
}

// A tracked is a flow of list -o json.
type tracked struct {
	Proto  string
	Status []string
	Orig   trackedSide
	Reply  trackedSide
}

type trackedSide struct {
	Src, Dst     string
	Sport, Dport uint16
	ICMPID       uint16 `json:"icmp_id"`
	Bytes        uint64
}

// A loggedRouter is a lab whose router's events go to a file.
type loggedRouter struct {
	*lab.Lab
	file   string
	events *exec.Cmd
}

// begin starts events behind what the file has.
func (r *loggedRouter) begin(t *testing.T) {
	t.Helper()
	out := must(os.OpenFile(r.file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600))(t)
	defer out.Close()
	r.events = ctview(t, "events", "-o", "json", "--dump", "--netns", r.Router().Path())
	r.events.Stdout = out
	labtest.Must(t, r.events.Start())
	t.Cleanup(func() { _ = r.events.Process.Kill() })
	listening(t, r.events, r.Router())
}

// end ends events.
func (r *loggedRouter) end(t *testing.T) {
	t.Helper()
	labtest.Must(t, r.events.Process.Signal(syscall.SIGINT))
	if _ = r.events.Wait(); r.events.ProcessState.ExitCode() != 128+int(syscall.SIGINT) {
		t.Errorf("events: %v", r.events.ProcessState)
	}
}

// now waits until all that happened is in the file. It returns the time, what the kernel has then, and what is in the file.
func (r *loggedRouter) now(t *testing.T) (at string, flows []tracked, logged []byte) {
	t.Helper()
	last := must(r.OneWay(t.Context(), lab.From{}))(t)
	mark := fmt.Sprintf(`"sport":%d,"dport":514`, last.Sport)
	end := time.Now().Add(patience)
	for ; !bytes.Contains(logged, []byte(mark)); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no event of the flow from port %d", last.Sport)
		}
		logged = must(os.ReadFile(r.file))(t)
	}
	at = time.Now().UTC().Format("2006-01-02T15:04:05.000000000")
	out := must(ctview(t, "list", "-o", "json", "--netns", r.Router().Path()).Output())(t)
	for line := range bytes.Lines(out) {
		var f tracked
		labtest.Must(t, json.Unmarshal(line, &f))
		flows = append(flows, f)
	}
	return at, flows, must(os.ReadFile(r.file))(t)
}

// change runs ctview with args on the router.
func (r *loggedRouter) change(t *testing.T, args ...string) {
	t.Helper()
	if out, err := ctview(t, append(args, "--yes", "--netns", r.Router().Path())...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
}

// hold opens a connection from an address and port of the client's; reset ends it on both sides.
func (r *loggedRouter) hold(t *testing.T, from, to string) (reset func()) {
	t.Helper()
	c := must(r.Client().Dial(t.Context(), "tcp", from, to))(t)
	t.Cleanup(func() { _ = c.Close() })
	tcp := c.(interface{ SetLinger(int) error })
	return func() {
		labtest.Must(t, tcp.SetLinger(0))
		labtest.Must(t, c.Close())
	}
}

// holders are who has a port of the router's public address, as who.sql answers.
func holders(flows []tracked, port uint16) (rows []string) {
	for _, f := range flows {
		if f.Reply.Dst == "192.0.2.1" && f.Reply.Dport == port {
			rows = append(rows, fmt.Sprint("0 ", f.Proto, " ", f.Orig.Src, " ", f.Orig.Sport, " ", f.Reply.Src, " ", f.Reply.Sport))
		}
	}
	slices.Sort(rows)
	return rows
}

// portsInUse is what ports.sql answers.
func portsInUse(flows []tracked) (rows []string) {
	type key struct{ proto, addr string }
	count, ports, hosts := map[key]int{}, map[key]map[uint16]bool{}, map[key]map[string]bool{}
	for _, f := range flows {
		k := key{f.Proto, f.Reply.Dst}
		if port := f.Reply.Dport + f.Reply.ICMPID; slices.Contains(f.Status, "SRC_NAT") && port != 0 {
			if count[k]++; count[k] == 1 {
				ports[k], hosts[k] = map[uint16]bool{}, map[string]bool{}
			}
			ports[k][port], hosts[k][f.Orig.Src] = true, true
		}
	}
	for k, n := range count {
		rows = append(rows, fmt.Sprint(k.proto, " ", k.addr, " ", len(ports[k]), " ", n, " ", len(hosts[k])))
	}
	slices.Sort(rows)
	return rows
}

// TestClickHouse: Debian's ClickHouse takes the lines of events by the schema in packaging/clickhouse, and answers the queries there as
// the kernel's table was at each time; also where ctview was started anew and a flow had ended unheard.
func TestClickHouse(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	l := must(lab.New(context.Background(), lab.Options{}))(t)
	defer l.Close()
	for _, name := range []string{"udp_timeout", "tcp_timeout_syn_sent", "tcp_timeout_time_wait"} { // nothing ends by itself
		labtest.Must(t, l.Router().Sysctl("net/netfilter/nf_conntrack_"+name, "600"))
	}
	r := &loggedRouter{Lab: l, file: filepath.Join(t.TempDir(), "events.json")}
	const web, tls = "203.0.113.7:80", "203.0.113.7:443"
	type moment struct {
		what, at string
		flows    []tracked
		holders  int
	}
	var moments []moment
	look := func(what string, holders int) (logged []byte) {
		t.Helper()
		var at string
		var flows []tracked
		at, flows, logged = r.now(t)
		moments = append(moments, moment{what, at, flows, holders})
		return logged
	}

	began := time.Now().UTC().Format("2006-01-02T15:04:05")
	resetDumped := r.hold(t, "192.168.1.13:40001", web)
	r.begin(t)
	resetA := r.hold(t, "192.168.1.10:40000", web)
	look("the first host has it", 1)
	resetA()
	r.change(t, "delete", "src 192.168.1.10 sport 40000")
	look("nobody has it", 0)
	resetA = r.hold(t, "192.168.1.10:40000", web)
	look("the first host has it again", 1)
	resetA()
	r.change(t, "delete", "src 192.168.1.10 sport 40000")
	resetB := r.hold(t, "192.168.1.11:40000", web)
	look("the second host has it", 1)
	r.hold(t, "192.168.1.12:40000", tls)
	look("two hosts have it", 2)
	r.end(t)
	resetB()
	r.change(t, "delete", "src 192.168.1.11 sport 40000") // nobody hears of it
	r.begin(t)
	for range 2 {
		must(l.DeadSYN(t.Context(), lab.From{V6: true}))(t)
	}
	down := must(l.TCP(t.Context(), lab.From{}, 443))(t)
	labtest.Must(t, down.Download(200_000, 0))
	for _, c := range []*lab.Conn{down, must(l.TCP(t.Context(), lab.From{Zone: 5}, 443))(t)} {
		labtest.Must(t, c.Finish(t.Context())) // no packet is on its way
	}
	first := look("the second host's end was not heard", 1)
	// A tuple that ends and begins again mostly keeps its ID; here it always does.
	h.load(t, regexp.MustCompile(`(?m)^(.*"src":"192.168.1.10","dst":"203.0.113.7","sport":40000,.*"id":)\d+`).ReplaceAll(first, []byte("${1}7")))

	for _, m := range moments {
		t.Run(m.what, func(t *testing.T) {
			want := holders(m.flows, 40000)
			if len(want) != m.holders {
				t.Fatalf("the kernel says %q, not %d", want, m.holders)
			}
			equal(t, h.ask(t, "who", []int{1, 2, 3, 4, 5, 6}, "addr:String", "'192.0.2.1'", "port:UInt16", "40000", "at:String", quote(m.at)), want)
			equal(t, h.ask(t, "ports", []int{1, 2, 3, 4, 5}, "at:String", quote(m.at)), portsInUse(m.flows))
		})
	}
	nobody, again := moments[1], moments[2]
	for _, since := range h.ask(t, "who", []int{7}, "addr:String", "'192.0.2.1'", "port:UInt16", "40000", "at:String", quote(again.at)) {
		if since < nobody.at || since > again.at {
			t.Errorf("the first host has it again since %s, want it between %s and %s", since, nobody.at, again.at)
		}
	}
	now := moments[len(moments)-1]
	equal(t, h.ask(t, "who", []int{1, 2, 3, 4, 5, 6}, "addr:String", "'192.0.2.1'", "port:UInt16", "40001", "at:String", quote(now.at)),
		[]string{"0 tcp 192.168.1.13 40001 203.0.113.7 80"})
	later := time.Now().UTC().Add(25 * time.Hour).Format("2006-01-02T15:04:05")
	var lasting []string
	for _, f := range now.flows {
		lasting = append(lasting, fmt.Sprint(f.Proto, " ", f.Orig.Src, " ", f.Orig.Sport, " ", f.Orig.Dst, " ", f.Orig.Dport))
	}
	slices.Sort(lasting)
	equal(t, h.ask(t, "long", []int{1, 2, 3, 4, 5}, "at:String", quote(later), "seconds:UInt32", "86400"), lasting)
	equal(t, h.ask(t, "breaks", []int{2}, "after:String", quote(began), "before:String", quote(later)), []string{"began", "began"})

	// All that there is ends. The flow of the download is made to have begun two days before.
	r.change(t, "flush")
	end, _, all := r.now(t)
	resetDumped()
	r.end(t)
	rest := all[len(first):]
	old := fmt.Sprint(`"start":"`, time.Now().UTC().Add(-48*time.Hour).Format("2006-01-02T15:04:05.000000000Z"), `"`)
	var aged []byte
	for line := range bytes.Lines(rest) {
		if at := bytes.Index(line, []byte(`"start":"`)); at > 0 && bytes.Contains(line, fmt.Appendf(nil, `"sport":%d,"dport":443`, down.Key.Sport)) {
			line = slices.Concat(line[:at], []byte(old), line[at+len(old):])
		}
		aged = append(aged, line...)
	}
	h.load(t, aged)
	k := down.Key.OrigTuple()
	equal(t, h.ask(t, "long", []int{1, 2, 3, 4, 5}, "at:String", quote(end), "seconds:UInt32", "86400"),
		[]string{fmt.Sprint("tcp ", k.SrcAddr(), " ", k.Sport, " ", k.DstAddr(), " ", k.Dport)})
	since := []string{"after:String", quote(now.at), "before:String", quote(end)}
	equal(t, h.ask(t, "talkers", []int{1, 2, 3, 4}, since...), talkers(now.flows))
	equal(t, h.ask(t, "unanswered", []int{1, 2, 3, 4, 5}, since...), unanswered(now.flows))
}

// talkers is what talkers.sql answers when all flows have ended.
func talkers(flows []tracked) (rows []string) {
	sums := map[string][3]uint64{}
	for _, f := range flows {
		s := sums[f.Orig.Src]
		sums[f.Orig.Src] = [3]uint64{s[0] + 1, s[1] + f.Orig.Bytes, s[2] + f.Reply.Bytes}
	}
	for host, s := range sums {
		rows = append(rows, fmt.Sprint(host, " ", s[0], " ", s[1], " ", s[2]))
	}
	slices.Sort(rows)
	return rows
}

// unanswered is what unanswered.sql answers when all flows have ended.
func unanswered(flows []tracked) (rows []string) {
	type key struct {
		proto, dst string
		dport      uint16
	}
	hosts := map[key][]string{}
	for _, f := range flows {
		if k := (key{f.Proto, f.Orig.Dst, f.Orig.Dport}); !slices.Contains(f.Status, "SEEN_REPLY") {
			hosts[k] = append(hosts[k], f.Orig.Src)
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(hosts), func(a, b key) int { return cmp.Compare(a.dst, b.dst) }) {
		n := len(hosts[k])
		slices.Sort(hosts[k])
		rows = append(rows, fmt.Sprint(k.proto, " ", k.dst, " ", k.dport, " ", n, " ", len(slices.Compact(hosts[k]))))
	}
	slices.Sort(rows)
	return rows
}

func quote(s string) string { return "'" + s + "'" }

// equal holds what was answered to what the kernel says.
func equal(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("answered\n\t%s\nthe kernel says\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
