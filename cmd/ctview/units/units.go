// Package units is what the tests of the services do with them: the units of systemd and the scripts of procd that packages
// install. Only tests import it; its functions end the test where something fails.
package units

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

	"ctview/ctnl/lab/labtest"
)

// A Service is what packages install for a service.
type Service struct {
	Dir     string // where the files are in the tree
	Name    string // of the service, and of its files: ctview-exporter
	Program string // what it starts
}

// Read returns a file of the service: its name, or what follows the service's name in it.
func (s Service) Read(t testing.TB, name string) string {
	t.Helper()
	if strings.HasPrefix(name, ".") {
		name = s.Name + name
	}
	b, err := os.ReadFile(filepath.Join(s.Dir, name))
	labtest.Must(t, err)
	return string(b)
}

// Caps returns the capabilities that the unit gives, with those that drop-ins add.
func (s Service) Caps(t testing.TB, dropIns ...string) (caps []string) {
	t.Helper()
	for _, f := range append([]string{".service"}, dropIns...) {
		given := map[string][]string{}
		for _, m := range regexp.MustCompile(`(?m)^(AmbientCapabilities|CapabilityBoundingSet)=(.*)$`).FindAllStringSubmatch(s.Read(t, f), -1) {
			given[m[1]] = append(given[m[1]], strings.Fields(m[2])...)
		}
		if len(given) != 2 || !slices.Equal(given["AmbientCapabilities"], given["CapabilityBoundingSet"]) {
			t.Errorf("%s: what it gives and what it allows differ: %v", f, given)
		}
		caps = append(caps, given["AmbientCapabilities"]...)
	}
	return caps
}

// Analyze holds that systemd finds nothing wrong with the unit, alone and with each drop-in, and says that it is at most 2.0 exposed.
func (s Service) Analyze(t testing.TB, dropIns ...string) {
	t.Helper()
	for _, conf := range append([]string{""}, dropIns...) {
		file := filepath.Join(t.TempDir(), s.Name+".service")
		unit := strings.Replace(s.Read(t, ".service"), s.Program, "/bin/true", 1)
		labtest.Must(t, os.WriteFile(file, []byte(unit), 0o600))
		if conf != "" {
			labtest.Must(t, os.Mkdir(file+".d", 0o755))
			labtest.Must(t, os.WriteFile(filepath.Join(file+".d", conf), []byte(s.Read(t, conf)), 0o600))
		}
		for _, args := range [][]string{{"verify", "--man=no", file}, {"security", "--offline=true", "--threshold=20", "--no-pager", file}} {
			cmd := exec.Command("systemd-analyze", args...) // make test installs it
			cmd.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL=warning")
			out, err := cmd.CombinedOutput()
			if err != nil || args[0] == "verify" && strings.Contains(string(out), "ctview") { // every line of verify is a complaint
				t.Errorf("%s: systemd-analyze %s: %v\n%s", conf, strings.Join(args, " "), err, out)
			}
		}
	}
}

// ForEverybody returns a copy of the program that runs, where everybody may run it.
func ForEverybody(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	labtest.Must(t, err)
	b, err := os.ReadFile(self)
	labtest.Must(t, err)
	program := filepath.Join("/tmp", fmt.Sprintf("ctview-unit-test-%d", os.Getpid()))
	t.Cleanup(func() { _ = os.Remove(program) })
	labtest.Must(t, os.WriteFile(program, b, 0o755))
	return program
}

// Named returns a file that leads to a namespace, as "ip netns" makes it, and the beginning of a command that sees it.
func Named(t testing.TB, program, netns string) (name string, under []string) {
	t.Helper()
	name = program + ".ns"
	t.Cleanup(func() { _ = os.Remove(name) })
	labtest.Must(t, os.WriteFile(name, nil, 0o600))
	return name, []string{"unshare", "--mount", "sh", "-ec", `mount --bind "$0" "$1"; shift; exec "$@"`, netns, name}
}

// WithCaps is the beginning of a command that has caps alone, as another user where there is one.
func WithCaps(caps []string) []string {
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

// Procd runs the init script of OpenWrt with functions that write down what procd is told. It holds that the program is started with
// command and the options of the configuration, that output and errors named in logged go to the log, and that a jail is asked for
// where there is one, with the unit's capabilities.
func (s Service) Procd(t testing.TB, command, options, logged []string) {
	t.Helper()
	dir := t.TempDir()
	ujail := filepath.Join(dir, "ujail")
	labtest.Must(t, os.WriteFile(ujail, nil, 0o755))
	caps, err := filepath.Abs(filepath.Join(s.Dir, s.Name+".json"))
	labtest.Must(t, err)
	stubs := `config_load() { [ "$1" = ` + s.Name + ` ]; }
config_list_foreach() { [ "$1 $2" = "main arg" ] && for a in '` + strings.Join(options, "' '") + `'; do "$3" "$a"; done; }
for f in open_instance set_param append_param close_instance add_jail add_reload_trigger; do
	eval "procd_$f() { printf '%s' $f; for a; do printf ' <%s>' \"\$a\"; done; echo; }"
done
`
	started := "open_instance\nset_param <command> <" + strings.Join(append([]string{s.Program}, command...), "> <") + ">\n"
	for _, o := range options {
		started += "append_param <command> <" + o + ">\n"
	}
	rest := "set_param <respawn>\n"
	for _, l := range logged {
		rest += "set_param <" + l + "> <1>\n"
	}
	rest += "close_instance\nadd_reload_trigger <" + s.Name + ">\n"
	for _, tt := range []struct{ jail, want string }{
		{dir + "/nosuch", started + rest},
		{ujail, started + "add_jail <" + s.Name + ">\nset_param <capabilities> <" + caps + ">\nset_param <user> <nobody>\n" +
			"set_param <group> <nogroup>\nset_param <no_new_privs> <1>\n" + rest},
	} {
		text := strings.NewReplacer("/sbin/ujail", tt.jail, "/etc/capabilities/"+s.Name+".json", caps).Replace(s.Read(t, ".init"))
		out, err := exec.Command("sh", "-euc", stubs+text+"\nstart_service\nservice_triggers").CombinedOutput()
		if err != nil || string(out) != tt.want {
			t.Errorf("%v:\n%swant\n%s", err, out, tt.want)
		}
	}
	var sets map[string][]string
	labtest.Must(t, json.Unmarshal([]byte(s.Read(t, ".json")), &sets))
	for _, set := range []string{"bounding", "effective", "ambient", "permitted", "inheritable"} {
		if want := s.Caps(t); !slices.Equal(sets[set], want) {
			t.Errorf("%s: %v, the unit gives %v", set, sets[set], want)
		}
	}
}
