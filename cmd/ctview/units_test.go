package main

import (
	"bytes"
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

	"ctview/cmd/ctview/units"
	"ctview/ctnl/lab"
	"ctview/ctnl/lab/labtest"
	"ctview/model"
	"ctview/model/format"
)

// service is what a package installs for systemd, procd and OpenRC.
var service = units.Service{Dir: "../../packaging/events", Name: "ctview-events", Program: "/usr/bin/ctview"}

// unitCommand is what the unit starts, without the program and the administrator's options.
func unitCommand(t *testing.T) []string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/ctview (.*) \$ARGS$`).FindStringSubmatch(service.Read(t, ".service"))
	if m == nil {
		t.Fatal("no ExecStart that ends in $ARGS")
	}
	return strings.Fields(m[1])
}

// TestEventsUnit: systemd finds nothing wrong with the unit, alone and with each drop-in, and says that it is at most 2.0 exposed.
func TestEventsUnit(t *testing.T) {
	t.Parallel()
	service.Analyze(t, "netns.conf", "file.conf")
}

// TestEventsUnitCapabilities: with the capabilities that the unit gives, and as a user who has nothing else, what it starts tells of its own
// namespace, with those of netns.conf of another. With one of them fewer it does not.
func TestEventsUnitCapabilities(t *testing.T) {
	t.Parallel()
	ns, f := trackedNS(t)
	labtest.Must(t, f.Create(t.Context(), 0, 10))
	program := units.ForEverybody(t)
	name, named := units.Named(t, program, ns.Path())
	for _, tt := range []struct {
		in      *lab.NS
		under   []string
		options []string
		caps    []string
	}{
		{ns, nil, nil, service.Caps(t)},
		{newNS(t), named, []string{"--netns", name}, service.Caps(t, "netns.conf")},
	} {
		run := func(caps []string) (code int, out, diag string) {
			args := slices.Concat(tt.under, units.WithCaps(caps), []string{program}, unitCommand(t), []string{"--max", "10"}, tt.options)
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

// TestEventsProcd: procd is told a command that ctview takes, a jail where there is one, and the unit's capabilities; no line of it is
// longer than OpenWrt's log.
func TestEventsProcd(t *testing.T) {
	t.Parallel()
	var options []string
	for _, m := range regexp.MustCompile(`(?m)^\tlist arg '(.*)'$`).FindAllStringSubmatch(service.Read(t, ".config"), -1) {
		options = append(options, m[1])
	}
	service.Procd(t, unitCommand(t), options, []string{"stdout", "stderr"})

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
		{service.Dir + "/ctview-events.openrc", "", "checkpath --directory --mode 0750 /var/log/ctview\n" +
			"supervise-daemon /usr/bin/ctview " + strings.Join(unitCommand(t), " ") + " \n"},
		{service.Dir + "/ctview-events.openrc", "events_args='nat tcp'; output_log=/srv/a/b.json\n", "checkpath --directory --mode 0750 /srv/a\n" +
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
		m := regexp.MustCompile(`(?m)^#(?:events_args="|ARGS=)(.*?)"?$`).FindStringSubmatch(service.Read(t, conf))
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
	labtest.Must(t, os.WriteFile(dir+"/conf", []byte(service.Read(t, "journald@ctview.conf")), 0o600))
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
