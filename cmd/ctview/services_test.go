package main

import (
	"testing"

	"ctview/model"

	"github.com/google/go-cmp/cmp"
)

func TestParseServices(t *testing.T) {
	got := parseServices(`# comment
echo		7/tcp
echo		7/udp
http		80/tcp		www web	# WorldWideWeb
other		80/tcp
high		40000/tcp
odd		1/ddp
bad		x/tcp
zero		0/tcp
big		70000/tcp
short
` + "ev\x1bil\t9/tcp\n")
	want := serviceList{
		ports: map[string]uint16{"echo": 7, "http": 80, "www": 80, "web": 80, "other": 80, "high": 40000},
		names: map[servicePort]string{{model.ProtoTCP, 7}: "echo", {model.ProtoUDP, 7}: "echo", {model.ProtoTCP, 80}: "http"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(serviceList{}, servicePort{})); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}
