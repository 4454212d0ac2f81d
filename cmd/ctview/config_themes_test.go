package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestThemeFiles(t *testing.T) {
	for _, tt := range []struct {
		name, file, config, want string
	}{
		{"good", "title = \"bold\"\nopen = \"bright-green on 17\"\n", "theme = \"mine\"\n", ""},
		{"unknown role", "opn = \"red\"\n", "theme = \"mine\"\n", `mine.toml: unknown role "opn": did you mean open?`},
		{"unknown colour", "open = \"pink\"\n", "", `mine.toml: open: unknown colour or attribute "pink"`},
		{"syntax", "open = \n", "", "mine.toml:1"},
		{"not there", "open = \"red\"\n", "theme = \"yours\"\n", `unknown theme "yours": the themes are auto, none, ansi, 256, light256, mine, or a file`},
		{"unknown action", "", "[keys]\ndelte = [\"D\"]\n", "keys.delte: there is no such action"},
		{"action without key", "", "[keys]\ndelete = []\n", "keys.delete: no key"},
		{"keys", "", "[keys]\ndelete = [\"X\"]\nquit = [\"Q\"]\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "themes"), 0o755); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{"themes/mine.toml": tt.file, "themes/README": "no theme", "config.toml": tt.config} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			g := &globals{config: filepath.Join(dir, "config.toml")}
			c, err := g.loadConfig()
			got := ""
			if err != nil {
				got = err.Error()
			}
			if tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
				t.Fatalf("error %q, want %q", got, tt.want)
			}
			if tt.name == "good" && c.custom["mine"]["open"] != "bright-green on 17" {
				t.Errorf("themes %v", c.custom)
			}
		})
	}
}

// FuzzTheme: a theme file is read or refused with its name as a usage error.
func FuzzTheme(f *testing.F) {
	f.Add([]byte("title = \"bold\"\nopen = \"bright-green on 17\"\n"))
	f.Add([]byte("open = \"#12345\"\n[open]\n"))
	f.Add([]byte("title = 3\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := parseTheme("mine.toml", b); err != nil && (diagnoseCode(err) != exitUsage || !strings.Contains(err.Error(), "mine.toml")) {
			t.Fatalf("error %v is not a usage error that names the file", err)
		}
	})
}

// TestNobodysSecrets holds that what stands in another user's directory is read only if it is that user's own file: root may
// read everything, and an error quotes what it met.
func TestNobodysSecrets(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	themes := filepath.Join(dir, "ctview", "themes")
	if err := os.MkdirAll(themes, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(path string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("password_of_root = \"x\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(secret)
	own := os.Geteuid()
	theme := filepath.Join(themes, "mine.toml")
	config := filepath.Join(dir, "ctview", "config.toml")
	for _, tt := range []struct {
		name  string
		whose int
		put   func(path string) error
		want  string
	}{
		{"the user's own", own, func(path string) error { write(path); return nil }, "password_of_root"},
		{"a symbolic link", own, func(path string) error { return os.Symlink(secret, path) }, "symbolic link"},
		{"a hard link to another's", own + 1, func(path string) error { return os.Link(secret, path) }, "does not belong"},
		{"a pipe", own, func(path string) error { return syscall.Mkfifo(path, 0o600) }, "a pipe, not a file"},
		{"a link to a device", own, func(path string) error { return os.Symlink("/dev/zero", path) }, "symbolic link"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{theme, config} {
				if err := tt.put(path); err != nil {
					t.Fatal(err)
				}
				var err error
				if path == theme {
					_, err = loadThemes(themes, tt.whose)
				} else {
					var b []byte
					if b, err = readText(path, tt.whose); err == nil {
						_, err = parseConfig(path, tt.whose, b)
					}
				}
				if rerr := os.Remove(path); rerr != nil {
					t.Fatal(rerr)
				}
				if err == nil || !strings.Contains(err.Error(), tt.want) || tt.want != "password_of_root" && strings.Contains(err.Error(), "password") {
					t.Errorf("%s: %v; want %q, and nothing of the secret", filepath.Base(path), err, tt.want)
				}
			}
		})
	}

	// The whole program: root, in a directory that is another user's.
	if err := os.Chown(filepath.Join(dir, "ctview"), 65534, 65534); err != nil {
		t.Logf("not tried with a directory of another user, which can be made by root alone: %v", err)
		return
	}
	if err := os.Symlink(secret, theme); err != nil {
		t.Fatal(err)
	}
	cmd := ctview(t, "config", "check")
	cmd.Env = append(cmd.Env, "XDG_CONFIG_HOME="+dir)
	write(config)
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(config, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "symbolic link in the directory of another user") || strings.Contains(string(out), "password") {
		t.Errorf("%v %s", err, out)
	}
}

// TestSaveInAnothersDirectory: what ctview writes for another user stays where and whose it was.
func TestSaveInAnothersDirectory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.toml")
	if err := replaceFile(path, os.Geteuid()+1, []byte("names = true\n")); err == nil || !strings.Contains(err.Error(), "not a directory of the user") {
		t.Errorf("a directory that is not that user's any more: %v", err)
	}
	if files, _ := os.ReadDir(dir); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Logf("not tried with a directory of another user, which can be made by root alone: %v", err)
		return
	}
	if err := replaceFile(path, 65534, []byte("names = true\n")); err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil || st.Uid != 65534 {
		t.Errorf("the new file belongs to %d, %v; want 65534", st.Uid, err)
	}
}
