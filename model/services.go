package model

// otherNames are names that a filter takes and nobody is shown: their port has a better known one, or is another
// service's with the protocol at hand.
var otherNames = map[string]bool{"dns": true, "www": true, "dhcp": true, "ident": true, "imap2": true, "snmp-trap": true,
	"microsoft-ds": true, "ike": true, "submissions": true, "domain-s": true, "ms-sql-s": true, "ms-wbt-server": true,
	"turn": true, "sip-tls": true, "postgres": true, "rsh": true, "syslog": true, "wireguard": true}

// serviceNames is services the other way round.
var serviceNames = func() map[uint16]string {
	m := make(map[uint16]string, len(services))
	for name, port := range services {
		if !otherNames[name] {
			m[port] = name
		}
	}
	return m
}()

// ServiceName returns the name that a filter takes for port, such as "https", or "" where it has none of its own. The
// same port may be another service's with another protocol.
func ServiceName(p Proto, port uint16) string {
	switch {
	case !p.HasPorts():
		return ""
	case port == services["syslog"] && p == ProtoUDP:
		return "syslog"
	case port == services["rsh"] && p == ProtoTCP:
		return "rsh"
	case port == services["wireguard"] && p == ProtoUDP: // within the range of clients' ports
		return "wireguard"
	}
	return serviceNames[port]
}
