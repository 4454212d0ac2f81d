package lab

import (
	"fmt"
	"strings"
	"testing"

	"ctview/model"
)

// The kernel's ftp helper follows sessions of the lab: expectations, RELATED data connections, active and passive,
// translated and not.
func TestFTP(t *testing.T) {
	l := testLab(t, Options{})
	for _, f := range []From{{}, {V6: true}, {Zone: 5}, {V6: true, Zone: 7}} {
		t.Run(fmt.Sprintf("v6=%v,zone=%d", f.V6, f.Zone), func(t *testing.T) {
			s, err := l.FTP(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			if line := entry(t, l, s.Key); !strings.Contains(line, "helper=ftp") || !strings.Contains(line, "mark=21") {
				t.Errorf("control connection without helper or mark:\n%s", line)
			}
			for _, active := range []bool{false, true} {
				k, err := s.Get(t.Context(), active, 100_000, 0)
				if err != nil {
					t.Fatalf("active %v: %v", active, err)
				}
				got, err := l.flow(k)
				if err != nil || !got.Status.Has(model.StatusExpected|model.StatusSeenReply) {
					t.Errorf("active %v: data connection is %v, %v; want EXPECTED", active, got.Status, err)
				}
			}
			k, err := s.Lost(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := l.flow(k); err != nil || got.CtState() != model.CtRelated || got.State != model.TCPSynSent {
				t.Errorf("lost data connection is %s, %s, %v; want SYN_SENT, related", got.StateText(), got.CtState(), err)
			}
			to, err := s.Expect()
			if err != nil {
				t.Fatal(err)
			}
			family := map[bool]string{false: "ipv4", true: "ipv6"}[f.V6]
			out, err := l.Router().Command("conntrack", "-L", "expect", "-f", family).Output()
			if err != nil || !strings.Contains(string(out), fmt.Sprintf("dport=%d ", to.Port())) {
				t.Errorf("no expectation of %s: %v\n%s", to, err, out)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestParsePort(t *testing.T) {
	tests := []struct{ cmd, want string }{
		{"PORT 192,168,1,10,156,64", "192.168.1.10:40000"},
		{"EPRT |2|2001:db8::1|40000|", "[2001:db8::1]:40000"},
		{"EPRT |1|192.0.2.1|21|", "192.0.2.1:21"},
		{"PORT 1,2,3", ""},
		{"PORT 300,1,1,1,1,1", ""},
		{"PORT 1,1,1,1,256,1", ""},
		{"EPRT |1|x|y|", ""},
		{"EPRT 1", ""},
	}
	for _, tt := range tests {
		word, arg, _ := strings.Cut(tt.cmd, " ")
		got, err := parsePort(word, arg)
		if tt.want == "" {
			if err == nil {
				t.Errorf("%q was taken for %s", tt.cmd, got)
			}
			continue
		}
		if err != nil || got.String() != tt.want {
			t.Errorf("%q: %s, %v; want %s", tt.cmd, got, err, tt.want)
		}
		if back := portCommand(got); !strings.HasPrefix(tt.cmd, "EPRT |1") && back != tt.cmd {
			t.Errorf("%q came back as %q", tt.cmd, back)
		}
	}
}

func FuzzParsePassive(f *testing.F) {
	f.Add("227 Entering Passive Mode (203,0,113,21,156,64)")
	f.Add("229 Entering Extended Passive Mode (|||40000|)")
	f.Add("227 (")
	f.Fuzz(func(t *testing.T, line string) {
		server := ftpAddr[0]
		got, err := parsePassive(line, server)
		if err != nil {
			return
		}
		again, err := parsePassive("227 ("+commas(got)+")", server)
		if err != nil || again != got {
			t.Errorf("%q is %s and then %s, %v", line, got, again, err)
		}
	})
}
