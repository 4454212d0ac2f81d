//go:build !kernels

package notrack

// pace is how many times longer than usual tests wait: see pace_kernels_test.go.
const pace = 1
