package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v2"

	"ctview/ctnl/confine"
	"ctview/ctnl/notrack/ruleset"
)

// begin gives up what the exporter never takes, before it opens anything.
func (o *options) begin(log *slog.Logger) {
	o.keep(confine.NetRaw|o.enters(), log)
}

// seal gives up what is not taken any more now that everything is open, and has the kernel refuse every file but those that are read
// again and again, where it has Landlock. That would forbid to start the iptables programs, and to look into other processes: it
// is left where NOTRACK rules are read by the former, or a namespace is reached by the latter.
func (o *options) seal(open []*watching, log *slog.Logger) {
	keeps := o.enters()
	for _, w := range open {
		if w.programs() {
			keeps |= confine.NetRaw
		}
	}
	if !o.keep(keeps, log) || keeps&(confine.NetRaw|confine.Processes) != 0 {
		return
	}
	if _, err := confine.Restrict(confine.Files{Read: o.reading()}); err != nil {
		log.Warn("may open every file of the system", "err", err)
	}
}

func (o *options) keep(more confine.Caps, log *slog.Logger) bool {
	err := confine.Keep(confine.NetAdmin|more, confine.NetAdmin)
	if err != nil && !errors.Is(err, confine.ErrCgo) {
		log.Warn("keeps the privileges that it was started with", "err", err)
	}
	return err == nil
}

// enters is what it takes to enter the namespaces again that were gone.
func (o *options) enters() (c confine.Caps) {
	for _, spec := range o.netns {
		if spec != "" {
			c |= confine.SysAdmin
		}
		if ofProcess(spec) {
			c |= confine.Processes
		}
	}
	return c
}

// ofProcess reports whether a namespace is reached through a process: a PID, or what is or leads below /proc.
func ofProcess(spec string) bool {
	to, _ := os.Readlink(spec) // "" where it is no link
	return strings.HasPrefix(spec, "/proc/") || strings.Contains(spec, "/") && strings.HasPrefix(to, "/proc/") || spec != "" && strings.Trim(spec, "0123456789") == ""
}

// programs reports whether NOTRACK rules of the namespace are read by the iptables programs.
func (w *watching) programs() bool {
	if w.rules == nil {
		return false
	}
	name, _ := w.rules.Backend()
	return name != "nftables" || len(ruleset.LegacyTables(w.ns, false))+len(ruleset.LegacyTables(w.ns, true)) > 0
}

// reading are the files that are read while it runs: the kernel's counters and settings, names of hosts, the namespaces, and
// the web configuration with what it names, which is read for every connection.
func (o *options) reading() []string {
	paths := []string{"/proc", "/sys", "/run/netns", "/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/services", "/etc/protocols",
		"/etc/localtime", "/usr/share/zoneinfo", "/dev/urandom", os.DevNull}
	// A link to where it is made anew now and then, under the same name.
	if to, err := filepath.EvalSymlinks("/etc/resolv.conf"); err == nil && filepath.Dir(to) != "/etc" {
		paths = append(paths, filepath.Dir(to))
	}
	for _, spec := range o.netns {
		if strings.Contains(spec, "/") {
			paths = append(paths, filepath.Dir(spec)) // the file itself is another one when it comes again
		}
	}
	for _, f := range webFiles(o.webConfig) {
		paths = append(paths, filepath.Dir(f)) // a certificate that is renewed is another file of that name
	}
	return paths
}

// webFiles returns the web configuration and the files that it names.
func webFiles(config string) []string {
	if config == "" {
		return nil
	}
	files := []string{config}
	var c struct {
		TLS struct {
			Cert     string `yaml:"cert_file"`
			Key      string `yaml:"key_file"`
			ClientCA string `yaml:"client_ca_file"`
		} `yaml:"tls_server_config"`
	}
	b, err := os.ReadFile(config)
	if err != nil || yaml.Unmarshal(b, &c) != nil {
		return files // it was valid a moment ago
	}
	for _, f := range []string{c.TLS.Cert, c.TLS.Key, c.TLS.ClientCA} {
		switch {
		case f == "":
		case filepath.IsAbs(f):
			files = append(files, f)
		default:
			files = append(files, filepath.Join(filepath.Dir(config), f))
		}
	}
	return files
}
