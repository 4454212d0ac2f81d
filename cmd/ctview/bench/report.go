package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A report gathers the rows of the table.
type report struct {
	w    io.Writer
	rows [][4]string // figure, what, measured, goal
}

func newReport(w io.Writer) *report { return &report{w: w} }

// row adds a line; goal is "" where the line only tells what others need.
func (r *report) row(id, what, measured, goal string) {
	r.rows = append(r.rows, [4]string{id, what, measured, goal})
}

// goal adds a line whose value must not be above most; it is marked when it is.
func (r *report) goal(id, what, unit string, value, most float64, digits int) {
	mark := "ok"
	if value > most {
		mark = "MISSED"
	}
	num := func(v float64) string { return strconv.FormatFloat(v, 'f', digits, 64) }
	r.row(id, what, num(value)+unit, fmt.Sprintf("≤ %s%s  %s", strconv.FormatFloat(most, 'f', -1, 64), unit, mark))
}

func (r *report) print(p *plan, took time.Duration) {
	slices.SortStableFunc(r.rows, func(a, b [4]string) int { return number(a[0]) - number(b[0]) })
	width := [3]int{}
	for _, row := range r.rows {
		for i := range width {
			width[i] = max(width[i], len([]rune(row[i])))
		}
	}
	fmt.Fprintf(r.w, "ctview bench: %d flows, %d runs each, %d CPUs, Linux %s, %s, load %s, %.0f s\n\n",
		p.flows, p.runs, runtime.NumCPU(), kernelRelease(), runtime.Version(), loadAverage(), took.Seconds())
	for _, row := range r.rows {
		line := ""
		for i, cell := range row {
			line += cell + "  "
			if i < len(width) {
				line += strings.Repeat(" ", width[i]-len([]rune(cell)))
			}
		}
		fmt.Fprintln(r.w, strings.TrimRight(line, " "))
	}
}

func number(id string) int {
	n, _ := strconv.Atoi(strings.Trim(id, "Pabc"))
	return n
}

func kernelRelease() string { return readWord("/proc/sys/kernel/osrelease") }
func loadAverage() string   { return readWord("/proc/loadavg") }

func readWord(path string) string {
	b, _ := os.ReadFile(path)
	w, _, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	return w
}

// median returns the middle of vs, 0 for none.
func median(vs []float64) float64 {
	if len(vs) == 0 {
		return 0
	}
	vs = slices.Sorted(slices.Values(vs))
	if n := len(vs); n%2 == 0 {
		return (vs[n/2-1] + vs[n/2]) / 2
	}
	return vs[len(vs)/2]
}

// quantile returns the value that the part q of vs does not exceed.
func quantile(vs []float64, q float64) float64 {
	if len(vs) == 0 {
		return 0
	}
	vs = slices.Sorted(slices.Values(vs))
	return vs[min(int(q*float64(len(vs))), len(vs)-1)]
}
