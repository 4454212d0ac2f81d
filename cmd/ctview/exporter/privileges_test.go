package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"ctview/ctnl/confine"
	"ctview/ctnl/lab"
)

// withoutCgo is an exporter that can give up privileges: the test binary, or where that is linked with C, as for the race detector, one
// that is built for it.
var withoutCgo = sync.OnceValues(func() (string, error) {
	if confine.Able() {
		return os.Executable()
	}
	path := pureProgram()
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func pureProgram() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("ctview-exporter-pure-%d", os.Getpid()))
}

// confined is exporterCommand with a program that can give up privileges.
func confined(t *testing.T, ns *lab.NS, args ...string) *lab.Cmd {
	t.Helper()
	program, err := withoutCgo()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exporterCommand(t, ns, args...)
	cmd.Path, cmd.Args[0] = program, program
	return cmd
}

// TestPrivileges: once everything is open, every thread has given up what the exporter does not need for its namespaces.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	ns := newNS(t)
	name := mounted(t, ns)
	const admin = confine.NetAdmin
	for _, tt := range []struct {
		args []string
		keep confine.Caps
	}{
		{nil, admin},
		{[]string{"--ipfix", collectorAddr, "--listen", defaultListen}, admin},
		{[]string{"--netns", name}, admin | confine.SysAdmin},
		{[]string{"--netns", path(ns)}, admin | confine.SysAdmin | confine.Processes},
	} {
		r := beginCommand(t, newNS(t), confined(t, newNS(t), tt.args...))
		want := fmt.Sprintf("effective %x, permitted %x, no_new_privs 1", uint64(admin), uint64(tt.keep))
		var last []string
		until(t, "every thread has given up what is not needed", func() bool {
			last = nil
			files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", r.cmd.Process.Pid))
			for _, f := range files {
				if s := statusOf(f); s != want {
					last = append(last, s)
				}
			}
			return len(files) > 0 && len(last) == 0
		})
	}
}

func statusOf(file string) string {
	b, _ := os.ReadFile(file) // a thread that ended has none
	hex := func(name string) (n uint64) {
		if m := regexp.MustCompile(`(?m)^` + name + `:\s*(\w+)$`).FindSubmatch(b); m != nil {
			n, _ = strconv.ParseUint(string(m[1]), 16, 64)
		}
		return n
	}
	return fmt.Sprintf("effective %x, permitted %x, no_new_privs %d", hex("CapEff"), hex("CapPrm"), hex("NoNewPrivs"))
}

// mounted returns a file that leads to a namespace, as "ip netns" makes it.
func mounted(t *testing.T, ns *lab.NS) string {
	t.Helper()
	name := write(t, t.TempDir(), "blue", "")
	if out, err := exec.Command("mount", "--bind", ns.Path(), name).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", name).Run() })
	return name
}

// TestFilesRefused: where the kernel has Landlock, the exporter reads the files that it serves with, also when they are made anew,
// and the kernel refuses it every other file, even as root.
func TestFilesRefused(t *testing.T) {
	t.Parallel()
	dir, secret := t.TempDir(), t.TempDir()
	config := write(t, dir, "web.yml", "http_server_config: {headers: {X-Content-Type-Options: nosniff}}\n")
	write(t, secret, "web.yml", "http_server_config: {headers: {X-Frame-Options: deny}}\n")
	ns := newNS(t)
	r := beginCommand(t, ns, confined(t, ns, "--web-config", config))
	header := func(name string) (value string, code int) {
		resp, err := r.client.Get("http://" + defaultListen + "/metrics")
		if err != nil {
			return "", 0
		}
		defer resp.Body.Close()
		return resp.Header.Get(name), resp.StatusCode
	}
	until(t, "it answers with its configuration", func() bool {
		v, code := header("X-Content-Type-Options")
		return code == http.StatusOK && v == "nosniff"
	})
	write(t, dir, "new", "http_server_config: {headers: {X-XSS-Protection: \"0\"}}\n")
	if err := os.Rename(dir+"/new", config); err != nil {
		t.Fatal(err)
	}
	if v, code := header("X-XSS-Protection"); code != http.StatusOK || v != "0" {
		t.Errorf("a configuration made anew: %d %q\n%s", code, v, r.log)
	}
	if err := os.Symlink(secret+"/web.yml", dir+"/new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+"/new", config); err != nil {
		t.Fatal(err)
	}
	v, code := header("X-Frame-Options")
	if landlocked := confine.Landlock() > 0; landlocked && (code == http.StatusOK || v != "") || !landlocked && code != http.StatusOK {
		t.Errorf("a link to another place: %d %q; Landlock %d", code, v, confine.Landlock())
	}
}

// TestReading: what is read while it runs is the directories of what the options name, and none is below another's home.
func TestReading(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "web.yml", "tls_server_config: {cert_file: cert.pem, key_file: /etc/ctview/keys/key.pem, client_ca_file: ../ca.pem}\n")
	o := options{webConfig: config, netns: []string{"", "blue", "/run/docker/netns/1234", "77"}}
	got := o.reading()
	for _, want := range []string{dir, "/etc/ctview/keys", filepath.Dir(dir), "/run/netns", "/run/docker/netns"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among %s", want, strings.Join(got, " "))
		}
	}
	for spec, want := range map[string]bool{"": false, "blue": false, "77": true, "/proc/7/ns/net": true, "/run/netns/blue": false, "7a": false} {
		if got := ofProcess(spec); got != want {
			t.Errorf("%q is of a process: %v", spec, got)
		}
	}
}
