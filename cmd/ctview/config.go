package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"ctview/model"
	"ctview/model/filter"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
)

// A config is the file config.toml. Every key is optional; the zero value of a field means ctview's default.
type config struct {
	Theme    string              `toml:"theme"`
	Time     string              `toml:"time"`
	Refresh  string              `toml:"refresh"`
	Escape   string              `toml:"escape_time"`
	Sort     string              `toml:"sort"`
	Columns  []string            `toml:"columns"`
	ASCII    bool                `toml:"ascii"`
	Mouse    *bool               `toml:"mouse"`
	ReadOnly bool                `toml:"read_only"`
	Names    bool                `toml:"names"`
	Bits     bool                `toml:"bits"`
	Budget   float64             `toml:"budget"`
	GeoIP    []string            `toml:"geoip"`
	Filters  map[string]string   `toml:"filters"`
	Views    map[string]view     `toml:"views"`
	Keys     map[string][]string `toml:"keys"`

	custom map[string]map[string]string // themes of files: name → role → look
	own    bool                         // the user's themes are among them
}

// systemConfig is the configuration of the machine. The user's is read on top of it.
var systemConfig = "/etc/ctview/config.toml"

// A view is a saved view: what the screen shows and how.
type view struct {
	Filter  string   `toml:"filter"`
	Columns []string `toml:"columns"`
	Sort    string   `toml:"sort"`
	Group   string   `toml:"group"`
}

// defaultConfig is what `ctview config default` prints: every key, with its default, commented out.
const defaultConfig = `# ctview's configuration. Every key is optional; what stands here is the default.

# theme = "auto"          # auto, none, ansi (the terminal's own 16 colours), 256, light256, or a file themes/NAME.toml
# time = "local"          # local or utc: the screen, and the times of tables
# refresh = "1s"          # between two readings of the table; 5s for a serial line
# escape_time = "200ms"   # how long Esc waits to be more than the key. Not set: until the terminal answers, 200ms at most; 20ms on a virtual console
# sort = "rate:desc"      # COLUMN or COLUMN:desc; "ctview help columns" lists the columns. Not set: rate, bytes or what is newest, by what is known
# columns = ["proto", "state", "src", "dst", "nat", "zone", "helper", "flags", "timeout", "rate", "bytes", "age"]  # of the flows, in their order
# ascii = false           # draw with ASCII only
# mouse = true            # clicks and the wheel
# read_only = false       # change nothing in the kernel
# names = false           # start with host names in place of addresses (asks the resolver)
# bits = false            # rates in bits per second
# budget = 5.0            # percent of one core that re-reading the table may cost
# geoip = []              # MaxMind files, e.g. ["/usr/share/GeoIP/GeoLite2-ASN.mmdb"]

# [filters]               # @name in a filter
# noisy = "src 192.168.1.77 and dport 25"

# [views.web]             # v in the TUI
# filter = "tcp and dport {80, 443}"
# columns = ["state", "src", "dst", "rate", "bytes"]
# sort = "bytes:desc"
# group = "src"

# [keys]                  # action = ["key", …]; "?" in the TUI lists the actions
# delete = ["D", "f9"]
`

// configPath returns where the configuration is looked for: --config, else $XDG_CONFIG_HOME/ctview/config.toml, else
// ~/.config/ctview/config.toml. Under sudo it is the calling user's, if that user owns the file. whose is that user,
// to whom it and its themes must belong; for --config below another user's directory, the directory's owner for the themes.
func (g *globals) configPath() (path string, whose int, err error) {
	if g.config != "" {
		return g.config, stranger(filepath.Dir(g.config)), nil
	}
	if home, uid, ok := sudoCaller(); ok {
		p := filepath.Join(home, ".config", "ctview", "config.toml")
		if f, err := openOf(p, uid); err == nil {
			_ = f.Close()
			return p, uid, nil
		}
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", anybody, fmt.Errorf("config: %w", err)
	}
	dir = filepath.Join(dir, "ctview")
	return filepath.Join(dir, "config.toml"), stranger(dir), nil
}

// stranger returns the owner of a directory where root reads in another user's, else anybody. With the right to read every
// file, what is read there must be that user's own: an error quotes what it met, and a symbolic link may lead to a secret.
func stranger(dir string) int {
	var st syscall.Stat_t
	if os.Geteuid() != 0 || asRoot(func() error { return syscall.Stat(dir, &st) }) != nil || st.Uid == 0 {
		return anybody
	}
	return int(st.Uid)
}

// sudoCaller returns the home directory and uid of the user who called sudo.
func sudoCaller() (home string, uid int, ok bool) {
	if os.Getuid() != 0 {
		return "", 0, false
	}
	uid, err := strconv.Atoi(os.Getenv("SUDO_UID"))
	if err != nil || uid == 0 {
		return "", 0, false
	}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return "", 0, false
	}
	return u.HomeDir, uid, true
}

// settings returns the configuration, which is read once.
func (g *globals) settings() (config, error) {
	if g.loaded == nil {
		c, err := g.loadConfig()
		if err != nil {
			return c, err
		}
		g.loaded = &c
	}
	return *g.loaded, nil
}

// loadConfig reads the configuration: the machine's, and on top of it the user's, whose keys win. A file that is not there, or is
// another user's secret (HOME may be), is an empty one, unless --config named it: then it is the only one.
func (g *globals) loadConfig() (config, error) {
	base, err := g.machineConfig()
	if err != nil {
		return base, err
	}
	path, whose, err := g.configPath()
	if err != nil {
		return base, nil // no home directory: no configuration
	}
	b, err := g.readConfig(path, whose)
	if g.config == "" && notThere(err) {
		return base, nil
	}
	if err != nil {
		return config{}, fileError("config: ", err, "")
	}
	return base.with(path, whose, b)
}

// machineConfig is systemConfig, which is read once, or empty.
func (g *globals) machineConfig() (config, error) {
	if g.machine != nil {
		return *g.machine, nil
	}
	var c config
	if g.config == "" {
		b, err := readText(systemConfig, anybody)
		if err == nil {
			c, err = c.with(systemConfig, anybody, b)
			c.own = false
		} else if notThere(err) {
			err = nil
		} else {
			err = fileError("config: ", err, "")
		}
		if err != nil {
			return c, err
		}
	}
	g.machine = &c
	return c, nil
}

// fileError is what is wrong with a file of the user's: a usage error, unless it is the machine that has no descriptors left.
func fileError(what string, err error, cure string) error {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM) {
		return fmt.Errorf("%s%w", what, err)
	}
	return usageError{what + err.Error(), cure}
}

// readConfig reads the text of the configuration. The file that --config names was chosen by whoever runs ctview.
func (g *globals) readConfig(path string, whose int) ([]byte, error) {
	if g.config != "" {
		whose = anybody
	}
	return readText(path, whose)
}

// parseConfig reads the text of a configuration that stands alone.
func parseConfig(path string, whose int, b []byte) (config, error) {
	return config{}.with(path, whose, b)
}

// with reads the text of a configuration on top of c, and its themes, which must be whose. Unknown keys and bad values are
// usage errors that name file, line and cure.
func (c config) with(path string, whose int, b []byte) (config, error) {
	c.Filters, c.Views, c.Keys = maps.Clone(c.Filters), maps.Clone(c.Views), maps.Clone(c.Keys)
	dec := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return config{}, configError(path, err)
	}
	if err := c.addThemes(path, whose); err != nil {
		return config{}, err
	}
	if err := c.check(); err != nil {
		return config{}, usageError{fmt.Sprintf("config: %s: %v", path, err), `"ctview config default" shows every key`}
	}
	return c, nil
}

// addThemes adds the themes that stand beside a configuration.
func (c *config) addThemes(path string, whose int) error {
	more, err := loadThemes(filepath.Join(filepath.Dir(path), "themes"), whose)
	if err != nil {
		return err
	}
	c.own = true
	if len(c.custom) > 0 {
		all := maps.Clone(c.custom)
		maps.Copy(all, more)
		more = all
	}
	c.custom = more
	return nil
}

// configError turns an error of the TOML decoder into one with the file's name and line.
func configError(path string, err error) error {
	var (
		missing *toml.StrictMissingError
		bad     *toml.DecodeError
	)
	switch {
	case errors.As(err, &missing) && len(missing.Errors) > 0:
		e := missing.Errors[0]
		line, _ := e.Position()
		return usageError{fmt.Sprintf("config: %s:%d: unknown key %q", path, line, joinKey(e.Key())),
			`"ctview config default" shows every key`}
	case errors.As(err, &bad):
		line, col := bad.Position()
		return usageError{fmt.Sprintf("config: %s:%d:%d: %s", path, line, col, tomlProblem(bad)), `"ctview config default" shows every key`}
	}
	return usageError{fmt.Sprintf("config: %s: %v", path, err), ""}
}

// wrongKind is the decoder's message for a value of another type than the key's; the words are a TOML and a Go type.
var wrongKind = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`cannot decode TOML (\w+) into (?:struct field \S+ of type )?(\S+)$`)
})

// kinds are the words for types in a configuration.
var kinds = map[string]string{
	"string": "text in quotes", "bool": "true or false", "float64": "a number", "integer": "a whole number", "float": "a number",
	"[]string": `a list, such as ["a", "b"]`, "array": "a list", "boolean": "true or false", "datetime": "a date",
}

// wrongSection is the decoder's message for a section where the key is something else.
var wrongSection = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^cannot store an? (table|array table) in `) })

// tomlProblem says what the decoder found, in words of the file and not of the program.
func tomlProblem(e *toml.DecodeError) string {
	text := strings.TrimPrefix(e.Error(), "toml: ")
	if m := wrongSection().FindStringSubmatch(text); m != nil {
		if m[1] == "array table" {
			return "a section has single brackets, [name]"
		}
		return "a section in place of a value, name = …"
	}
	if strings.Contains(text, "strconv.") {
		return "a number that cannot be read"
	}
	m := wrongKind().FindStringSubmatch(text)
	if m == nil {
		return text
	}
	got, want := kinds[m[1]], kinds[m[2]]
	if want == "" {
		want = "a section with keys of its own"
	}
	key := joinKey(e.Key())
	if key == "" {
		key = "the value"
	}
	return fmt.Sprintf("%s is %s; it wants %s", key, cmp.Or(got, m[1]), want)
}

func joinKey(k toml.Key) string {
	s := ""
	for i, part := range k {
		if i > 0 {
			s += "."
		}
		s += part
	}
	return s
}

// check reports the first value that cannot be used, with its key.
func (c *config) check() error {
	if err := checkThemeName(c.Theme, c.custom); err != nil {
		return err
	}
	if err := checkKeys(c.Keys); err != nil {
		return err
	}
	if c.Time != "" && c.Time != "local" && c.Time != "utc" {
		return fmt.Errorf("time: %q is neither local nor utc", c.Time)
	}
	if _, err := c.refresh(); err != nil {
		return err
	}
	if _, err := c.escape(); err != nil {
		return err
	}
	if !(c.Budget >= 0 && c.Budget <= 100) { // NaN, too
		return fmt.Errorf("budget: %v is not between 0 and 100 percent", c.Budget)
	}
	if err := checkShape("", c.Columns, c.Sort); err != nil {
		return err
	}
	opt := c.parseOptions()
	for name, text := range c.Filters {
		if _, err := filter.Parse(text, opt); err != nil {
			return fmt.Errorf("filters.%s: %w", name, err)
		}
	}
	for name, v := range c.Views {
		if err := checkShape("views."+name+".", v.Columns, v.Sort); err != nil {
			return err
		}
		if _, err := filter.Parse(v.Filter, opt); err != nil {
			return fmt.Errorf("views.%s.filter: %w", name, err)
		}
	}
	return nil
}

// checkShape checks names of columns and a sort order.
func checkShape(prefix string, columns []string, sort string) error {
	for _, name := range columns {
		if _, err := model.ParseColumn(name); err != nil {
			return fmt.Errorf("%scolumns: %w", prefix, err)
		}
	}
	if _, err := parseSort(sort); err != nil {
		return fmt.Errorf("%ssort: %w", prefix, err)
	}
	return nil
}

// refresh returns the refresh interval, 0 for the default.
func (c *config) refresh() (time.Duration, error) {
	if c.Refresh == "" {
		return 0, nil
	}
	d, err := parseDuration(c.Refresh)
	if err != nil || d < 100*time.Millisecond || d > time.Hour {
		return 0, fmt.Errorf("refresh: %q is not a duration between 100ms and 1h, such as 1s or 5s", c.Refresh)
	}
	return d, nil
}

// escape returns how long Esc waits, 0 for the default.
func (c *config) escape() (time.Duration, error) {
	if c.Escape == "" {
		return 0, nil
	}
	d, err := parseDuration(c.Escape)
	if err != nil || d < 10*time.Millisecond || d > 2*time.Second {
		return 0, fmt.Errorf("escape-time: %q is not a duration between 10ms and 2s, such as 200ms or 500ms", c.Escape)
	}
	return d, nil
}

func configCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config path|default|check",
		Short: "where the configuration is, every key with its default, whether it is right",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{"config: say what: path, default or check", ""}
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use: "path", Short: "print where the configuration is looked for", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			p, _, err := g.configPath()
			if err != nil {
				return failure{err}
			}
			_, err = fmt.Fprintln(g.out, p)
			return err
		},
	}, &cobra.Command{
		Use: "default", Short: "print every key with its default", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(g.out, defaultConfig)
			return err
		},
	}, &cobra.Command{
		Use: "check", Short: "read the configuration and say whether it is right", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := g.loadConfig()
			if err != nil {
				return err
			}
			if _, err := openPlaces(c.GeoIP); err != nil {
				return err
			}
			p, _, _ := g.configPath()
			if _, err := os.Stat(systemConfig); err == nil && g.config == "" {
				if _, err := fmt.Fprintln(g.out, systemConfig+": fine"); err != nil {
					return err
				}
			}
			if p == "" {
				p = "none (no HOME is set): the defaults hold"
			} else if _, err := os.Stat(p); err != nil {
				p = "none (" + p + " is not there): the defaults hold"
			} else {
				p += ": fine"
			}
			_, err = fmt.Fprintln(g.out, p)
			return err
		},
	})
	return cmd
}
