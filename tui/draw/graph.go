package draw

import "strings"

// Graph draws values as columns of h lines, oldest at the left, scaled to top. Values below 0 are unknown: a blank.
func Graph(values []float64, h int, top float64, m *Marks) []string {
	lines := make([]strings.Builder, h)
	n := len(m.spark)
	for _, v := range values {
		level := 0
		if v > 0 && top > 0 {
			level = max(int(v/top*float64(h*n)+0.5), 1)
		}
		for row := range h { // from the top
			l := level - (h-1-row)*n
			switch {
			case l <= 0:
				lines[row].WriteByte(' ')
			case l >= n:
				lines[row].WriteString(m.spark[n-1])
			default:
				lines[row].WriteString(m.spark[l-1])
			}
		}
	}
	out := make([]string, h)
	for i := range lines {
		out[i] = lines[i].String()
	}
	return out
}

// Resample makes n values of vs, each the largest of its share: a short peak stays visible.
func Resample(vs []float64, n int) []float64 {
	if len(vs) <= n || n <= 0 {
		return vs
	}
	out := make([]float64, n)
	for i := range out {
		from, to := i*len(vs)/n, (i+1)*len(vs)/n
		best := vs[from]
		for _, v := range vs[from:to] {
			best = max(best, v)
		}
		out[i] = best
	}
	return out
}

// Largest returns the largest of vs, 0 for none.
func Largest(vs []float64) float64 {
	top := 0.0
	for _, v := range vs {
		top = max(top, v)
	}
	return top
}

// Meter draws a bar of w cells, part of whole; what is not nothing shows.
func Meter(part, whole float64, w int, m *Marks) string {
	if whole <= 0 || w <= 0 {
		return strings.Repeat(m.empty, max(w, 0))
	}
	fine := len(m.parts) + 1
	n := min(int(part/whole*float64(w*fine)+0.5), w*fine)
	if n == 0 && part > 0 {
		n = 1
	}
	s := strings.Repeat(m.full, n/fine)
	rest := w - n/fine
	if n%fine > 0 {
		s += m.parts[n%fine-1]
		rest--
	}
	return s + strings.Repeat(m.empty, rest)
}
