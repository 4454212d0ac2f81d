package format

import (
	"testing"
	"time"
)

func TestAppendTime(t *testing.T) {
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano()
	tokyo := time.FixedZone("", 9*3600)
	for _, tt := range []struct {
		form TimeForm
		at   time.Duration // from begin
		want string
	}{
		{TimeOwn, 0, "2026-03-01 21:00:00"},
		{TimeLocal, 0, "2026-03-01 21:00:00"},
		{TimeUTC, 0, "2026-03-01 12:00:00Z"},
		{TimeRFC3339, time.Nanosecond, "2026-03-01T12:00:00.000000001Z"},
		{TimeUnix, 1500 * time.Millisecond, "1772366401.500000"},
		{TimeRelative, 0, "+0.000s"},
		{TimeRelative, 1500*time.Millisecond + time.Microsecond, "+1.500s"},
		{TimeRelative, -40 * time.Millisecond, "-0.040s"},
		{TimeRelative, time.Minute, "+1m"},
		{TimeRelative, -(3*time.Hour + 20*time.Minute), "-3h20m"},
	} {
		o := Options{Times: tt.form, Location: tokyo, Begin: &begin}
		if got := string(AppendTime(nil, begin+int64(tt.at), time.DateTime, &o)); got != tt.want {
			t.Errorf("form %d of %v: %s, want %s", tt.form, tt.at, got, tt.want)
		}
	}
	if len(TimeForms) != int(TimeRelative) {
		t.Errorf("%d names for %d forms", len(TimeForms), TimeRelative)
	}
}
