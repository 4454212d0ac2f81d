package model

import "testing"

// TestServiceName holds that every name that is shown means its port in a filter, and that no port has two.
func TestServiceName(t *testing.T) {
	ports := map[uint16]string{}
	for name, port := range services {
		if otherNames[name] {
			continue
		}
		if other, ok := ports[port]; ok {
			t.Errorf("port %d is both %s and %s", port, name, other)
		}
		ports[port] = name
		if got := ServiceName(ProtoTCP, port); got != name {
			t.Errorf("tcp port %d is %q, want %q", port, got, name)
		}
	}
	for _, tt := range []struct {
		p    Proto
		port uint16
		want string
	}{
		{ProtoTCP, 443, "https"}, {ProtoUDP, 53, "domain"}, {ProtoUDP, 514, "syslog"}, {ProtoTCP, 514, "rsh"},
		{ProtoUDP, 51820, "wireguard"}, {ProtoTCP, 51820, ""}, {ProtoTCP, 40000, ""}, {ProtoICMP, 80, ""}, {ProtoSCTP, 514, ""},
	} {
		if got := ServiceName(tt.p, tt.port); got != tt.want {
			t.Errorf("%s port %d is %q, want %q", tt.p, tt.port, got, tt.want)
		}
	}
}
