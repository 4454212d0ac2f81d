package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ctview/ctnl/lab"
	"ctview/ctnl/lab/labtest"
)

// unitDir is what a package installs for systemd and procd.
const unitDir = "../../../packaging/exporter"

// unitCaps returns the capabilities that unit files give, all together.
func unitCaps(t *testing.T, files ...string) (caps []string) {
	t.Helper()
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(unitDir, f))
		if err != nil {
			t.Fatal(err)
		}
		given := map[string][]string{}
		for _, m := range regexp.MustCompile(`(?m)^(AmbientCapabilities|CapabilityBoundingSet)=(.*)$`).FindAllStringSubmatch(string(b), -1) {
			given[m[1]] = append(given[m[1]], strings.Fields(m[2])...)
		}
		if len(given) != 2 || !slices.Equal(given["AmbientCapabilities"], given["CapabilityBoundingSet"]) {
			t.Errorf("%s: what it gives and what it allows differ: %v", f, given)
		}
		caps = append(caps, given["AmbientCapabilities"]...)
	}
	return caps
}

// TestUnit: systemd finds nothing wrong with the unit, alone and with netns.conf, and says that it is at most 2.0 exposed.
func TestUnit(t *testing.T) {
	t.Parallel()
	for _, conf := range []string{"", "netns.conf"} {
		dir := t.TempDir()
		unit, err := os.ReadFile(unitDir + "/ctview-exporter.service")
		if err != nil {
			t.Fatal(err)
		}
		file := write(t, dir, "ctview-exporter.service", strings.Replace(string(unit), "/usr/bin/ctview-exporter", "/bin/true", 1))
		if conf != "" {
			b, err := os.ReadFile(filepath.Join(unitDir, conf))
			if err == nil {
				err = os.Mkdir(file+".d", 0o755)
			}
			if err != nil {
				t.Fatal(err)
			}
			write(t, file+".d", conf, string(b))
		}
		analyze(t, "verify", "--man=no", file)
		analyze(t, "security", "--offline=true", "--threshold=20", "--no-pager", file)
	}
}

// analyze runs systemd-analyze, which "make test" installs. Of verify every line is a complaint.
func analyze(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("systemd-analyze", args...)
	cmd.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL=warning")
	out, err := cmd.CombinedOutput()
	complaints := regexp.MustCompile(`(?m)^.*ctview.*$`).FindAll(out, -1)
	if err != nil || args[0] == "verify" && len(complaints) > 0 {
		t.Errorf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestUnitCapabilities: with the capabilities that the unit gives the exporter watches its own namespace, with those of
// netns.conf another, as a user who has nothing else. With one of them fewer it does not.
func TestUnitCapabilities(t *testing.T) {
	t.Parallel()
	program := forEverybody(t)
	ns := newNS(t)
	fillNS(t, ns, 10)
	// A file that leads to a namespace, as "ip netns" makes it.
	name := write(t, filepath.Dir(program), filepath.Base(program)+".ns", "")
	t.Cleanup(func() { _ = os.Remove(name) })
	named := []string{"unshare", "--mount", "sh", "-ec", `mount --bind "$0" "$1"; shift; exec "$@"`, path(ns), name}
	for _, tt := range []struct {
		netns   string
		in      *lab.NS
		under   []string
		options []string
		caps    []string
	}{
		{"", ns, nil, nil, unitCaps(t, "ctview-exporter.service")},
		{name, newNS(t), named, []string{"--netns", name}, unitCaps(t, "ctview-exporter.service", "netns.conf")},
	} {
		command := func(caps []string) *lab.Cmd {
			cmd := exporterCommand(t, tt.in)
			cmd.Args = slices.Concat([]string{"env"}, tt.under, withCaps(caps), []string{program}, tt.options)
			cmd.Path = "/usr/bin/env"
			return cmd
		}
		r := beginCommand(t, tt.in, command(tt.caps))
		until(t, "the 10 flows, and the scrape itself", func() bool {
			m, err := r.scrape()
			return err == nil && m["ctview_entries{"+netns(tt.netns)+"}"] >= 10
		})
		for i := range tt.caps {
			cmd := command(slices.Delete(slices.Clone(tt.caps), i, i+1))
			cmd.Args = slices.Concat([]string{"env", "timeout", "-s", "KILL", "20"}, cmd.Args[1:], []string{"--listen", "127.0.0.1:2000"})
			out, err := cmd.CombinedOutput()
			if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != exitPermission {
				t.Errorf("without %s: %v, want exit code %d\n%s", tt.caps[i], err, exitPermission, out)
			}
		}
	}
}

// forEverybody returns a copy of this program where everybody may run it.
func forEverybody(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join("/tmp", fmt.Sprintf("ctview-exporter-test-%d", os.Getpid()))
	t.Cleanup(func() { _ = os.Remove(program) })
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}

// withCaps is the command that runs a program with caps alone, as another user where there is one.
func withCaps(caps []string) []string {
	all := "-all"
	for _, c := range caps {
		all += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
	}
	args := []string{"setpriv", "--no-new-privs", "--bounding-set=" + all, "--inh-caps=" + all, "--ambient-caps=" + all}
	if labtest.OtherUsers() {
		args = append(args, "--reuid=65534", "--regid=65534", "--clear-groups")
	}
	return args
}

// TestProcd runs the init script of OpenWrt with functions that write down what procd is told: the command is one that the
// exporter takes, a jail is asked for where there is one, and has the unit's capabilities.
func TestProcd(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command("sh", "-n", unitDir+"/ctview-exporter.init").CombinedOutput(); err != nil {
		t.Fatalf("sh -n: %v\n%s", err, out)
	}
	dir := t.TempDir()
	script, err := os.ReadFile(unitDir + "/ctview-exporter.init")
	if err != nil {
		t.Fatal(err)
	}
	ujail := write(t, dir, "ujail", "")
	if err := os.Chmod(ujail, 0o755); err != nil {
		t.Fatal(err)
	}
	caps, err := filepath.Abs(unitDir + "/ctview-exporter.json")
	if err != nil {
		t.Fatal(err)
	}
	stubs := `config_load() { [ "$1" = ctview-exporter ]; }
config_list_foreach() { [ "$1 $2" = "main arg" ] && for a in --listen=127.0.0.1:7 '--netns=a b'; do "$3" "$a"; done; }
for f in open_instance set_param append_param close_instance add_jail add_reload_trigger; do
	eval "procd_$f() { printf '%s' $f; for a; do printf ' <%s>' \"\$a\"; done; echo; }"
done
`
	const command = "open_instance\nset_param <command> </usr/bin/ctview-exporter>\nappend_param <command> <--listen=127.0.0.1:7>\n" +
		"append_param <command> <--netns=a b>\n"
	const rest = "set_param <respawn>\nset_param <stderr> <1>\nclose_instance\nadd_reload_trigger <ctview-exporter>\n"
	for _, tt := range []struct{ jail, want string }{
		{dir + "/nosuch", command + rest},
		{ujail, command + "add_jail <ctview-exporter>\nset_param <capabilities> <" + caps + ">\nset_param <user> <nobody>\n" +
			"set_param <group> <nogroup>\nset_param <no_new_privs> <1>\n" + rest},
	} {
		text := strings.NewReplacer("/sbin/ujail", tt.jail, "/etc/capabilities/ctview-exporter.json", caps).Replace(string(script))
		out, err := exec.Command("sh", "-euc", stubs+text+"\nstart_service\nservice_triggers").CombinedOutput()
		if err != nil || string(out) != tt.want {
			t.Errorf("%v:\n%swant\n%s", err, out, tt.want)
		}
	}
	b, err := os.ReadFile(caps)
	if err != nil {
		t.Fatal(err)
	}
	var sets map[string][]string
	if err := json.Unmarshal(b, &sets); err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{"bounding", "effective", "ambient", "permitted", "inheritable"} {
		if want := unitCaps(t, "ctview-exporter.service"); !slices.Equal(sets[set], want) {
			t.Errorf("%s: %v, the unit gives %v", set, sets[set], want)
		}
	}
}
