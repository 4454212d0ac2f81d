package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
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
	"ctview/model"
	"ctview/model/format"
)

// unitDir is what a package installs for systemd, procd and OpenRC.
const unitDir = "../../packaging/events"

func unitFile(t *testing.T, name string) string {
	t.Helper()
	return string(must(os.ReadFile(filepath.Join(unitDir, name)))(t))
}

// unitCaps returns the capabilities that unit files give, all together.
func unitCaps(t *testing.T, files ...string) (caps []string) {
	t.Helper()
	for _, f := range files {
		given := map[string][]string{}
		for _, m := range regexp.MustCompile(`(?m)^(AmbientCapabilities|CapabilityBoundingSet)=(.*)$`).FindAllStringSubmatch(unitFile(t, f), -1) {
			given[m[1]] = append(given[m[1]], strings.Fields(m[2])...)
		}
		if len(given) != 2 || !slices.Equal(given["AmbientCapabilities"], given["CapabilityBoundingSet"]) {
			t.Errorf("%s: what it gives and what it allows differ: %v", f, given)
		}
		caps = append(caps, given["AmbientCapabilities"]...)
	}
	return caps
}

// unitCommand is what the unit starts, without the program and the administrator's options.
func unitCommand(t *testing.T) []string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/ctview (.*) \$ARGS$`).FindStringSubmatch(unitFile(t, "ctview-events.service"))
	if m == nil {
		t.Fatal("no ExecStart that ends in $ARGS")
	}
	return strings.Fields(m[1])
}

// TestEventsUnit: systemd finds nothing wrong with the unit, alone and with each drop-in, and says that it is at most 2.0 exposed.
func TestEventsUnit(t *testing.T) {
	t.Parallel()
	for _, conf := range []string{"", "netns.conf", "file.conf"} {
		file := filepath.Join(t.TempDir(), "ctview-events.service")
		unit := strings.Replace(unitFile(t, "ctview-events.service"), "/usr/bin/ctview", "/bin/true", 1)
		labtest.Must(t, os.WriteFile(file, []byte(unit), 0o600))
		if conf != "" {
			labtest.Must(t, os.Mkdir(file+".d", 0o755))
			labtest.Must(t, os.WriteFile(filepath.Join(file+".d", conf), []byte(unitFile(t, conf)), 0o600))
		}
		for _, args := range [][]string{{"verify", "--man=no", file}, {"security", "--offline=true", "--threshold=20", "--no-pager", file}} {
			cmd := exec.Command("systemd-analyze", args...)
			cmd.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL=warning")
			out, err := cmd.CombinedOutput()
			if err != nil || args[0] == "verify" && regexp.MustCompile(`(?m)^.*ctview.*$`).Match(out) {
				t.Errorf("%s: systemd-analyze %s: %v\n%s", conf, strings.Join(args, " "), err, out)
			}
		}
	}
}

// TestEventsUnitCapabilities: with the capabilities that the unit gives, and as a user who has nothing else, what it starts tells of its own
// namespace, with those of netns.conf of another. With one of them fewer it does not.
func TestEventsUnitCapabilities(t *testing.T) {
	t.Parallel()
	ns, f := trackedNS(t)
	labtest.Must(t, f.Create(t.Context(), 0, 10))
	program := filepath.Join("/tmp", fmt.Sprintf("ctview-events-test-%d", os.Getpid())) // where everybody may run it
	t.Cleanup(func() { _ = os.Remove(program) })
	labtest.Must(t, os.WriteFile(program, must(os.ReadFile(testBinary(t)))(t), 0o755))
	// A file that leads to a namespace, as "ip netns" makes it.
	name := program + ".ns"
	t.Cleanup(func() { _ = os.Remove(name) })
	labtest.Must(t, os.WriteFile(name, nil, 0o600))
	named := []string{"unshare", "--mount", "sh", "-ec", `mount --bind "$0" "$1"; shift; exec "$@"`, ns.Path(), name}
	for _, tt := range []struct {
		in      *lab.NS
		under   []string
		options []string
		caps    []string
	}{
		{ns, nil, nil, unitCaps(t, "ctview-events.service")},
		{newNS(t), named, []string{"--netns", name}, unitCaps(t, "ctview-events.service", "netns.conf")},
	} {
		run := func(caps []string) (code int, out, diag string) {
			all := "-all"
			for _, c := range caps {
				all += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
			}
			setpriv := []string{"setpriv", "--no-new-privs", "--bounding-set=" + all, "--inh-caps=" + all, "--ambient-caps=" + all}
			if labtest.OtherUsers() {
				setpriv = append(setpriv, "--reuid=65534", "--regid=65534", "--clear-groups")
			}
			args := slices.Concat(tt.under, setpriv, []string{program}, unitCommand(t), []string{"--max", "10"}, tt.options)
			cmd := labtest.Command(tt.in, "timeout", append([]string{"-s", "KILL", "20"}, args...)...)
			cmd.Env = ctview(t).Env
			var o, e bytes.Buffer
			cmd.Stdout, cmd.Stderr = &o, &e
			_ = cmd.Run()
			return cmd.ProcessState.ExitCode(), o.String(), e.String()
		}
		if code, out, diag := run(tt.caps); code != 0 || strings.Count(out, "\n") != 10 {
			t.Errorf("with %v: exit code %d, %d flows, want 10\n%s", tt.caps, code, strings.Count(out, "\n"), diag)
		}
		for i := range tt.caps {
			if code, _, diag := run(slices.Delete(slices.Clone(tt.caps), i, i+1)); code != exitPermission {
				t.Errorf("without %s: exit code %d, want %d\n%s", tt.caps[i], code, exitPermission, diag)
			}
		}
	}
}

// TestEventsProcd runs the init script of OpenWrt with functions that write down what procd is told: the command is one that ctview
// takes, a jail is asked for where there is one, and has the unit's capabilities.
func TestEventsProcd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ujail := filepath.Join(dir, "ujail")
	labtest.Must(t, os.WriteFile(ujail, nil, 0o755))
	caps := must(filepath.Abs(unitDir + "/ctview-events.json"))(t)
	var options []string
	for _, m := range regexp.MustCompile(`(?m)^\tlist arg '(.*)'$`).FindAllStringSubmatch(unitFile(t, "ctview-events.config"), -1) {
		options = append(options, m[1])
	}
	stubs := `config_load() { [ "$1" = ctview-events ]; }
config_list_foreach() { [ "$1 $2" = "main arg" ] && for a in ` + strings.Join(options, " ") + `; do "$3" "$a"; done; }
for f in open_instance set_param append_param close_instance add_jail add_reload_trigger; do
	eval "procd_$f() { printf '%s' $f; for a; do printf ' <%s>' \"\$a\"; done; echo; }"
done
`
	command := "open_instance\nset_param <command> </usr/bin/ctview> <" + strings.Join(unitCommand(t), "> <") + ">\n"
	for _, o := range options {
		command += "append_param <command> <" + o + ">\n"
	}
	const rest = "set_param <respawn>\nset_param <stdout> <1>\nset_param <stderr> <1>\nclose_instance\nadd_reload_trigger <ctview-events>\n"
	for _, tt := range []struct{ jail, want string }{
		{dir + "/nosuch", command + rest},
		{ujail, command + "add_jail <ctview-events>\nset_param <capabilities> <" + caps + ">\nset_param <user> <nobody>\n" +
			"set_param <group> <nogroup>\nset_param <no_new_privs> <1>\n" + rest},
	} {
		text := strings.NewReplacer("/sbin/ujail", tt.jail, "/etc/capabilities/ctview-events.json", caps).Replace(unitFile(t, "ctview-events.init"))
		out, err := exec.Command("sh", "-euc", stubs+text+"\nstart_service\nservice_triggers").CombinedOutput()
		if err != nil || string(out) != tt.want {
			t.Errorf("%v:\n%swant\n%s", err, out, tt.want)
		}
	}
	var sets map[string][]string
	labtest.Must(t, json.Unmarshal([]byte(unitFile(t, "ctview-events.json")), &sets))
	for _, set := range []string{"bounding", "effective", "ambient", "permitted", "inheritable"} {
		if want := unitCaps(t, "ctview-events.service"); !slices.Equal(sets[set], want) {
			t.Errorf("%s: %v, the unit gives %v", set, sets[set], want)
		}
	}

	// OpenWrt's log cuts a line off at 1,024 bytes; with these options none is that long.
	g := &globals{}
	var columns string
	for _, o := range options {
		if c, ok := strings.CutPrefix(o, "--columns="); ok {
			columns = c
		}
	}
	longest := model.Event{Kind: model.Destroy, Has: ^model.Fields(0)}
	k := model.AddrBytes(netip.MustParseAddr("2001:db80:1111:2222:3333:4444:5555:6666"))
	longest.Flow.Key = model.Key{Src: k, Dst: k, Sport: 65535, Dport: 65535, Proto: model.ProtoUDPLite, Family: model.IPv6, Zone: 65535}
	longest.Flow.ReplySrc, longest.Flow.ReplyDst, longest.Flow.ReplySport, longest.Flow.ReplyDport = k, k, 65535, 65535
	longest.Flow.Status, longest.Flow.ID = ^model.Status(0), 1<<32-1
	line := jsonFormat(format.Options{}, must(g.parseFields(columns))(t)).line(nil, &longest, 0)
	if columns == "" || len(line) > 1024-len("ctview-events[12345]: ") {
		t.Errorf("with the columns %q a line may have %d bytes: %s", columns, len(line), line)
	}
}

// TestOpenRC runs Alpine's scripts with functions that write down what OpenRC is told: what is started are commands that the programs
// take, with the options of the configuration that comes along.
func TestOpenRC(t *testing.T) {
	t.Parallel()
	const show = `
checkpath() { echo "checkpath $*"; }
start_pre() { :; }
. "$1"
. "$2"
start_pre
echo "$supervisor $command $command_args"
`
	for _, tt := range []struct{ script, conf, want string }{
		{unitDir + "/ctview-events.openrc", "", "checkpath --directory --mode 0750 /var/log/ctview\n" +
			"supervise-daemon /usr/bin/ctview " + strings.Join(unitCommand(t), " ") + " \n"},
		{unitDir + "/ctview-events.openrc", "events_args='nat tcp'; output_log=/srv/a/b.json\n", "checkpath --directory --mode 0750 /srv/a\n" +
			"supervise-daemon /usr/bin/ctview " + strings.Join(unitCommand(t), " ") + " nat tcp\n"},
		{"../../packaging/exporter/ctview-exporter.openrc", "exporter_args='--labels 7'\n", "supervise-daemon /usr/bin/ctview-exporter --labels 7\n"},
	} {
		conf := filepath.Join(t.TempDir(), "conf")
		came := must(os.ReadFile(strings.TrimSuffix(tt.script, ".openrc") + ".confd"))(t)
		labtest.Must(t, os.WriteFile(conf, append(came, tt.conf...), 0o600))
		out, err := exec.Command("sh", "-ec", show, "sh", conf, tt.script).CombinedOutput()
		if err != nil || string(out) != tt.want {
			t.Errorf("%s: %v: %q, want %q", tt.script, err, out, tt.want)
		}
	}
	for _, conf := range []string{"ctview-events.confd", "ctview-events.default"} { // the options that they propose
		m := regexp.MustCompile(`(?m)^#(?:events_args="|ARGS=)(.*?)"?$`).FindStringSubmatch(unitFile(t, conf))
		if m == nil {
			t.Fatalf("%s proposes nothing", conf)
		}
		ns, f := trackedNS(t)
		cmd := ctview(t, slices.Concat(unitCommand(t), strings.Fields(m[1]), []string{"--netns", ns.Path(), "--for", "100ms"})...)
		labtest.Must(t, f.Create(t.Context(), 0, 1))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", conf, err, out)
		}
	}
}

// TestEventsJournal: what events writes into a journal of its own, with the configuration that comes along, is read from it again, line by line
// and byte by byte, more lines than a journal takes where there is a limit.
func TestEventsJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	labtest.Must(t, os.WriteFile(dir+"/conf", []byte(unitFile(t, "journald@ctview.conf")), 0o600))
	labtest.Must(t, os.WriteFile(dir+"/id", []byte("0123456789abcdef0123456789abcdef\n"), 0o600))
	journald := exec.Command("unshare", "--mount", "sh", "-ec", `mount -t tmpfs t /run
mount -t tmpfs t /var/log
mkdir -p /run/systemd /var/log/journal
cp "$0/id" "$0/conf" /run
mount --bind /run/id /etc/machine-id
mount -t tmpfs t /etc/systemd
cp /run/conf /etc/systemd/journald@ctview.conf
exec /lib/systemd/systemd-journald ctview`, dir)
	var log bytes.Buffer
	journald.Stdout, journald.Stderr = &log, &log
	labtest.Must(t, journald.Start())
	t.Cleanup(func() {
		_ = journald.Process.Kill()
		_ = journald.Wait()
	})
	var journal net.Conn
	for end := time.Now().Add(patience); journal == nil; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("unix", fmt.Sprintf("/proc/%d/root/run/systemd/journal.ctview/stdout", journald.Process.Pid))
		if err == nil {
			journal = c
		} else if time.Now().After(end) {
			t.Fatalf("systemd-journald: %v\n%s", err, &log)
		}
	}
	// As systemd begins: name, unit, priority, no prefix of a level, and to nowhere else.
	fmt.Fprint(journal, "ctview\nctview-events.service\n6\n0\n0\n0\n0\n")

	ns, f := trackedNS(t)
	const n = 25_000 // a journal takes 10,000 in half a minute
	labtest.Must(t, f.Create(t.Context(), 0, n))
	events := ctview(t, append(unitCommand(t), "--netns", ns.Path(), "--max", fmt.Sprint(n))...)
	pipe := must(events.StdoutPipe())(t)
	labtest.Must(t, events.Start())
	var want bytes.Buffer
	must(io.Copy(journal, io.TeeReader(pipe, &want)))(t)
	labtest.Must(t, events.Wait())
	labtest.Must(t, journal.Close())
	var got []byte
	for end := time.Now().Add(patience); time.Now().Before(end) && len(got) < want.Len(); time.Sleep(100 * time.Millisecond) {
		out := must(exec.Command("nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", journald.Process.Pid),
			"journalctl", "--namespace=ctview", "-o", "cat", "-t", "ctview", "--no-pager").Output())(t)
		got = out
	}
	if lines := bytes.Count(want.Bytes(), []byte("\n")); lines != n || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d lines of %d, %d bytes of %d", bytes.Count(got, []byte("\n")), lines, len(got), want.Len())
	}
	labtest.Must(t, journald.Process.Signal(syscall.SIGTERM))
}
