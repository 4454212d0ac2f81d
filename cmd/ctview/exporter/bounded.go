package main

import "ctview/model"

// maxLabels is the most that --labels takes.
const maxLabels = 1000

// other is the label of what is not told one by one.
const other = "other"

// top sums the first n of counts by label, which come with the largest first, and the rest as other.
func top[T any](counts []T, n int, of func(*T) (label string, flows int)) map[string]int {
	sums := make(map[string]int, n+1)
	for i := range counts {
		label, flows := of(&counts[i])
		if i >= n {
			label = other
		}
		sums[label] += flows
	}
	return sums
}

// protoLabel is a protocol's label: those that conntrack knows by name are told, whoever sends packets of all the others makes
// one label of them.
func protoLabel(p model.Proto) string {
	if name := p.Name(); name != "" {
		return name
	}
	return other
}

// helperLabel is a helper's label, "none" for no helper.
func helperLabel(h model.HelperID) string {
	if h == 0 {
		return "none"
	}
	return model.Escape(h.String())
}
