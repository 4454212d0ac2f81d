package model

import (
	"maps"
	"slices"
)

// services are the names that dport and its like take without asking anybody: what firewalls meet most.
var services = map[string]uint16{
	"ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "time": 37, "whois": 43, "domain": 53, "dns": 53,
	"bootps": 67, "bootpc": 68, "dhcp": 67, "tftp": 69, "gopher": 70, "finger": 79, "http": 80, "www": 80,
	"kerberos": 88, "pop3": 110, "sunrpc": 111, "auth": 113, "ident": 113, "nntp": 119, "ntp": 123, "epmap": 135,
	"netbios-ns": 137, "netbios-dgm": 138, "netbios-ssn": 139, "imap": 143, "imap2": 143, "snmp": 161,
	"snmp-trap": 162, "snmptrap": 162, "bgp": 179, "irc": 194, "ldap": 389, "https": 443, "smb": 445,
	"microsoft-ds": 445, "kpasswd": 464, "isakmp": 500, "ike": 500, "rsh": 514, "syslog": 514, "printer": 515,
	"dhcpv6-client": 546, "dhcpv6-server": 547, "rtsp": 554, "nntps": 563, "submission": 587, "submissions": 465,
	"smtps": 465, "ipp": 631, "ldaps": 636, "domain-s": 853, "dot": 853, "rsync": 873, "ftps-data": 989, "ftps": 990,
	"telnets": 992, "imaps": 993, "pop3s": 995, "socks": 1080, "openvpn": 1194, "ms-sql-s": 1433, "mssql": 1433,
	"l2tp": 1701, "pptp": 1723, "radius": 1812, "radius-acct": 1813, "mqtt": 1883, "nfs": 2049, "zookeeper": 2181,
	"iscsi": 3260, "mysql": 3306, "rdp": 3389, "ms-wbt-server": 3389, "stun": 3478, "turn": 3478, "svn": 3690,
	"ipsec-nat-t": 4500, "vxlan": 4789, "sip": 5060, "sips": 5061, "sip-tls": 5061, "xmpp-client": 5222,
	"xmpp-server": 5269, "mdns": 5353, "postgresql": 5432, "postgres": 5432, "amqp": 5672, "amqps": 5671, "vnc": 5900,
	"x11": 6000, "geneve": 6081, "redis": 6379, "ircd": 6667, "bittorrent": 6881, "http-alt": 8080, "mqtts": 8883,
	"elasticsearch": 9200, "git": 9418, "memcached": 11211, "mongodb": 27017, "wireguard": 51820,
}

// ServicePort returns the port of a well-known service by its name in small letters, such as "https".
func ServicePort(name string) (uint16, bool) {
	p, ok := services[name]
	return p, ok
}

// otherNames are names that a filter takes and nobody is shown: their port has a better known one, or is another
// service's with the protocol at hand.
var otherNames = map[string]bool{"dns": true, "www": true, "dhcp": true, "ident": true, "imap2": true, "snmp-trap": true,
	"microsoft-ds": true, "ike": true, "submissions": true, "domain-s": true, "ms-sql-s": true, "ms-wbt-server": true,
	"turn": true, "sip-tls": true, "postgres": true, "rsh": true, "syslog": true, "wireguard": true}

// ServiceNames returns the names that ServicePort knows, in order.
func ServiceNames() []string { return slices.Sorted(maps.Keys(services)) }

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
