package main

import (
	"os"
	"strconv"
	"strings"
	"sync"

	"ctview/model"
)

// servicesFile names ports; see services(5).
const servicesFile = "/etc/services"

// firstEphemeral is where the kernel's choice of ports for clients begins (net.ipv4.ip_local_port_range). A name for
// such a port would nearly always be wrong.
const firstEphemeral = 32768

// A serviceList is what a services file says: the port of each name, and the name of each port.
type serviceList struct {
	ports map[string]uint16
	names map[servicePort]string
}

type servicePort struct {
	proto model.Proto
	port  uint16
}

// systemServices reads /etc/services once; without the file there is none of it, which is no error.
var systemServices = sync.OnceValue(func() serviceList {
	text, err := os.ReadFile(servicesFile)
	if err != nil {
		return serviceList{}
	}
	return parseServices(string(text))
})

// parseServices reads lines of "name port/protocol alias…  # comment". Lines that are none, protocols without ports and
// names that are not plain words are left out. Of several names of a port the first is shown.
func parseServices(text string) serviceList {
	l := serviceList{map[string]uint16{}, map[servicePort]string{}}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		number, name, _ := strings.Cut(words[1], "/")
		port, err := strconv.ParseUint(number, 10, 16)
		proto, bad := model.ParseProto(name)
		if err != nil || bad != nil || !proto.HasPorts() || port == 0 {
			continue
		}
		for i, w := range append(words[:1:1], words[2:]...) {
			if model.Escape(w) != w {
				continue
			}
			if _, ok := l.ports[w]; !ok {
				l.ports[w] = uint16(port)
			}
			key := servicePort{proto, uint16(port)}
			if _, ok := l.names[key]; !ok && i == 0 && port < firstEphemeral {
				l.names[key] = w
			}
		}
	}
	return l
}

// serviceName returns the name of a port, "" for none: the one that every filter knows, or that of /etc/services.
func serviceName(p model.Proto, port uint16) string {
	if n := model.ServiceName(p, port); n != "" {
		return n
	}
	return systemServices().names[servicePort{p, port}]
}

// servicePortOf returns the port that /etc/services gives a name.
func servicePortOf(name string) (uint16, bool) {
	p, ok := systemServices().ports[name]
	return p, ok
}
