package model

import "testing"

func TestColumnNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Columns() {
		n := c.String()
		if n == "" || seen[n] {
			t.Errorf("column %d has no name of its own: %q", c, n)
		}
		seen[n] = true
		if got, err := ParseColumn(n); err != nil || got != c {
			t.Errorf("ParseColumn(%q) = %v, %v; want %v", n, got, err, c)
		}
	}
	if len(Columns()) != int(NumColumns)-1 {
		t.Errorf("%d columns, want %d", len(Columns()), NumColumns-1)
	}
}

func TestParseColumn(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Column
		err  string
	}{
		{in: "BYTES", want: ColBytes},
		{in: "reply_src", want: ColReplySrc},
		{in: " age ", want: ColAge},
		{in: "source", want: ColSrc},
		{in: "none", want: ColNone},
		{in: "byts", err: `unknown column "byts": did you mean bytes?`},
		{in: "pack", err: `unknown column "pack": did you mean packets?`},
		{in: "xyzzyplugh", err: `unknown column "xyzzyplugh": columns are proto state`},
		{in: "", err: `unknown column ""`},
	} {
		got, err := ParseColumn(tt.in)
		if tt.err == "" {
			if err != nil || got != tt.want {
				t.Errorf("ParseColumn(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
			}
			continue
		}
		if err == nil || len(err.Error()) < len(tt.err) || err.Error()[:len(tt.err)] != tt.err {
			t.Errorf("ParseColumn(%q): error %v, want %s…", tt.in, err, tt.err)
		}
	}
}
