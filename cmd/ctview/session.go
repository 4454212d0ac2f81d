package main

import (
	"bytes"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"ctview/model"
)

// ownSession returns the original tuple of the ssh connection that this process was started over; Family 0 if there is
// none. sudo takes SSH_CONNECTION out of the environment, so the parents' are asked as well, where they may be read.
func ownSession() model.Tuple {
	if t, ok := parseSSHConnection(os.Getenv("SSH_CONNECTION")); ok {
		return t
	}
	for pid := os.Getppid(); pid > 1; pid = parentOf(pid) {
		env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err != nil {
			continue
		}
		for _, kv := range bytes.Split(env, []byte{0}) {
			if v, ok := bytes.CutPrefix(kv, []byte("SSH_CONNECTION=")); ok {
				t, _ := parseSSHConnection(string(v))
				return t
			}
		}
	}
	return model.Tuple{}
}

// parentOf returns the parent of a process, 0 where it cannot be told.
func parentOf(pid int) int {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name in parentheses may hold anything; the fields after the last ")" are state and parent.
	i := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(f[1])
	return ppid
}

// parseSSHConnection reads "CLIENT PORT SERVER PORT" as sshd writes it.
func parseSSHConnection(s string) (model.Tuple, bool) {
	f := strings.Fields(s)
	if len(f) != 4 {
		return model.Tuple{}, false
	}
	src, err1 := netip.ParseAddr(f[0])
	dst, err2 := netip.ParseAddr(f[2])
	sport, err3 := strconv.ParseUint(f[1], 10, 16)
	dport, err4 := strconv.ParseUint(f[3], 10, 16)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		return model.Tuple{}, false
	}
	src, dst = src.WithZone("").Unmap(), dst.WithZone("").Unmap()
	if src.Is4() != dst.Is4() {
		return model.Tuple{}, false
	}
	t := model.Tuple{Src: src.As16(), Dst: dst.As16(), Sport: uint16(sport), Dport: uint16(dport),
		Proto: model.ProtoTCP, Family: model.IPv6}
	if src.Is4() {
		t.Family = model.IPv4
	}
	return t, true
}
