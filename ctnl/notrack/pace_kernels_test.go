//go:build kernels

package notrack

// pace is how many times longer than usual tests wait. Emulated, a program of iptables takes seconds to start.
const pace = 5
