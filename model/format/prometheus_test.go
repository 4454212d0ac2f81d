package format

import (
	"testing"

	"ctview/model"
)

func TestAppendMetric(t *testing.T) {
	gauge, counter := Metric{Name: "a", Help: "A."}, Metric{"b_total", "B.", true}
	for _, tt := range []struct {
		name   string
		m      Metric
		labels []string
		want   string
	}{
		{"no label", gauge, nil, "# HELP a A.\n# TYPE a gauge\na 7\n"},
		{"an empty label is none", gauge, []string{"netns", ""}, "# HELP a A.\n# TYPE a gauge\na 7\n"},
		{"two labels", counter, []string{"netns", "blue", "x", "", "y", "z"}, "# HELP b_total B.\n# TYPE b_total counter\n" + `b_total{netns="blue",y="z"} 7` + "\n"},
		{"what ends a label or a line", gauge, []string{"netns", "a\"b\\c\nd\x1b[m"}, "# HELP a A.\n# TYPE a gauge\n" + `a{netns="a\"b\\c\\x0ad\\x1b[m"} 7` + "\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(AppendMetric(nil, tt.m, 7, tt.labels...)); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestKernelMetric: every counter that has a name has a metric with a help text of one line.
func TestKernelMetric(t *testing.T) {
	for n := range len(model.CPUStats{}.Values) {
		m, ok := KernelMetric(n)
		if ok != (StatName(n, false) != "") || ok && (StatMeaning(n) == "" || m.Name != "ctview_kernel_"+StatName(n, false)+"_total" || !m.Counter) {
			t.Errorf("counter %d: %+v, %v", n, m, ok)
		}
	}
}
