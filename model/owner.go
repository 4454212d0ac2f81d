package model

import (
	"net/netip"
	"strconv"
	"strings"
)

// A Holder is who has a socket open: a process, or as much of it as may be seen. It is not changed once it was handed on.
// Its texts are foreign and unescaped.
type Holder struct {
	PID       int32  // 0: no process that may be seen
	More      int32  // processes beside it that have the socket open, too
	Proc      string // what the process calls itself (/proc/PID/comm); "" with a PID of 0
	UID       uint32 // the socket's owner
	User      string // the name of UID, its digits where it has none
	Cgroup    string // path below the root of its hierarchy; "" not known
	Container string // what Cgroup says of a container: see ContainerOf
}

// An Owner says which ends of a flow are on this machine, and who holds their sockets. Index 0 is the end that began
// the flow, 1 the one that answers.
type Owner struct {
	Known bool       // false: nobody has looked, or it cannot be told
	Here  [2]bool    // the end is on this machine
	Ends  [2]*Holder // nil: not here, or not known
}

// Forwarded reports whether neither end is on this machine.
func (w *Owner) Forwarded() bool { return w.Known && !w.Here[0] && !w.Here[1] }

// Local reports whether both ends are on this machine.
func (w *Owner) Local() bool { return w.Known && w.Here[0] && w.Here[1] }

// Text returns a column of the holder, unescaped: ColPID, ColProc, ColUser, ColCgroup; "" for what is not known.
func (h *Holder) Text(c Column) string {
	switch {
	case h == nil:
	case c == ColPID && h.PID != 0:
		return strconv.Itoa(int(h.PID))
	case c == ColProc:
		return h.Proc
	case c == ColUser:
		return h.User
	case c == ColCgroup && h.Container != "":
		return h.Container
	case c == ColCgroup:
		return h.Cgroup
	}
	return ""
}

// AppendOwner appends what a column of owners shows, escaped: "forwarded", the holder of the end that is here, both
// with ">" between where both are ("-" for one that is not known); nothing where nothing is known.
func AppendOwner(dst []byte, c Column, w *Owner) []byte {
	from, to := w.Ends[0].Text(c), w.Ends[1].Text(c)
	switch {
	case w.Forwarded():
		return append(dst, "forwarded"...)
	case w.Local() && from+to != "":
		dst = appendHolder(dst, c, w.Ends[0], from)
		return appendHolder(append(dst, '>'), c, w.Ends[1], to)
	case from != "":
		return appendHolder(dst, c, w.Ends[0], from)
	case to != "":
		return appendHolder(dst, c, w.Ends[1], to)
	}
	return dst
}

func appendHolder(dst []byte, c Column, h *Holder, text string) []byte {
	if text == "" {
		return append(dst, '-')
	}
	dst = AppendEscaped(dst, text)
	if c == ColPID && h.More > 0 {
		dst = strconv.AppendInt(append(dst, '+'), int64(h.More), 10)
	}
	return dst
}

// Tells reports whether Text has something to say of a column.
func (h *Holder) Tells(c Column) bool {
	if c == ColPID {
		return h != nil && h.PID != 0
	}
	return h.Text(c) != ""
}

// OwnerColumn reports whether c is a column that an Owner fills.
func OwnerColumn(c Column) bool {
	return c == ColPID || c == ColProc || c == ColUser || c == ColCgroup
}

// A BoundSocket is a socket with who holds it. Remote is not valid for one that is connected to nobody.
type BoundSocket struct {
	Proto         Proto
	Local, Remote netip.AddrPort
	Only6         bool // bound to the unspecified address of IPv6, and not for IPv4 too (IPV6_V6ONLY)
	Holder        *Holder
}

// Owners tell who holds the sockets of flows, as it was at one time. They are made once, by NewOwners, and not changed
// then: safe for concurrent use. nil knows nothing.
type Owners struct {
	local   map[[16]byte]bool // addresses as Key has them
	cast    map[[16]byte]bool
	sockets map[Tuple]*Holder // Src is local; Dst and Dport are zero for one that is connected to nobody, Src for any address
	strange bool              // some socket is connected from an address that is not local: transparent proxies
}

// NewOwners makes Owners of the addresses of a namespace, those that it receives broadcasts on, and its sockets. All are
// read, none is kept.
func NewOwners(local, broadcast []netip.Addr, sockets []BoundSocket) *Owners {
	o := &Owners{local: addrSet(local), cast: addrSet(append(broadcast, everybody)), sockets: make(map[Tuple]*Holder, len(sockets))}
	for i := range sockets {
		o.add(&sockets[i])
	}
	return o
}

// everybody is the broadcast address of the network that one is in.
var everybody = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func addrSet(list []netip.Addr) map[[16]byte]bool {
	m := make(map[[16]byte]bool, len(list))
	for _, a := range list {
		m[AddrBytes(a)] = true
	}
	return m
}

func (o *Owners) add(s *BoundSocket) {
	t := Tuple{Sport: s.Local.Port(), Proto: s.Proto, Family: IPv6}
	a := s.Local.Addr()
	if a.Is4() {
		t.Family = IPv4
	}
	if !a.IsUnspecified() {
		t.Src = AddrBytes(a)
	}
	if s.Remote.IsValid() && s.Remote.Port() != 0 {
		t.Dst, t.Dport = AddrBytes(s.Remote.Addr()), s.Remote.Port()
		o.strange = o.strange || !o.isLocal(t.Family, &t.Src)
	}
	o.put(t, s.Holder)
	if a.Is6() && a.IsUnspecified() && !s.Only6 {
		t.Family = IPv4
		o.put(t, s.Holder)
	}
}

// put notes the holder of a socket. Several may be bound alike (SO_REUSEPORT): the process with the lowest number stands
// for all.
func (o *Owners) put(t Tuple, h *Holder) {
	was := o.sockets[t]
	if was != nil && was.PID != h.PID && was.PID != 0 && h.PID != 0 {
		both := *was
		if h.PID < was.PID {
			both = *h
		}
		both.More = was.More + h.More + 1
		h = &both
	} else if was != nil && was.PID != 0 {
		return
	}
	o.sockets[t] = h
}

// isLocal reports whether a is an address of this machine; of 127.0.0.0/8 all are.
func (o *Owners) isLocal(f Family, a *[16]byte) bool {
	return o.local[*a] || f == IPv4 && a[12] == 127
}

// isMany reports whether packets to a are for more than one machine.
func (o *Owners) isMany(f Family, a *[16]byte) bool {
	return f == IPv4 && a[12]&0xf0 == 0xe0 || f == IPv6 && a[0] == 0xff || o.cast[*a]
}

// Of tells who holds the ends of f. A socket that begins a flow knows it by the original tuple, before any NAT; one that
// answers by the reply tuple, after it. What is sent to many may end here, and go on as well: it is only said to end here
// where somebody takes it.
func (o *Owners) Of(f *Flow) (w Owner) {
	if o == nil {
		return w
	}
	w.Known = true
	for i, end := range [2]Tuple{f.Orig(), f.Reply()} {
		w.Here[i] = o.isLocal(f.Family, &end.Src)
		many := i == 1 && !w.Here[i] && o.isMany(f.Family, &end.Src)
		if end.Proto.HasPorts() && (w.Here[i] || many || o.strange) {
			w.Ends[i] = o.holder(end, many || w.Here[i] && (i == 1 || end.Proto != ProtoTCP))
			w.Here[i] = w.Here[i] || w.Ends[i] != nil
		}
		w.Known = !many || w.Here[0] || w.Here[1]
	}
	return w
}

// holder returns who has the socket of an end, t as that socket knows it; with bound also one that is connected to
// nobody and takes the packets.
func (o *Owners) holder(t Tuple, bound bool) *Holder {
	if h := o.sockets[t]; h != nil || !bound {
		return h
	}
	t.Dst, t.Dport = [16]byte{}, 0
	if h := o.sockets[t]; h != nil {
		return h
	}
	t.Src = [16]byte{}
	return o.sockets[t]
}

// ContainerOf returns what the path of a cgroup says of the container that its processes are in: the beginning of an id
// as its engine lists it ("docker 0123456789ab"), a name ("lxc web", "machine web"); "" for none. path is foreign text,
// and so is the answer.
func ContainerOf(path string) string {
	parts := strings.Split(path, "/")
	for i := len(parts) - 1; i >= 0; i-- {
		name := strings.TrimSuffix(strings.TrimSuffix(parts[i], ".scope"), ".service")
		engine, rest, dash := strings.Cut(name, "-")
		if n := strings.LastIndexByte(name, '-'); n >= 0 && isContainerID(name[n+1:]) { // docker-ID, cri-containerd-ID, crio-conmon-ID
			return name[:n] + " " + name[n+1:n+1+shortID]
		}
		above := ""
		if i > 0 {
			above = parts[i-1]
		}
		switch {
		case isContainerID(name) && above != "":
			if strings.HasPrefix(above, "pod") || strings.HasPrefix(above, "kubepods") {
				above = "kube"
			}
			return above + " " + name[:shortID]
		case dash && engine == "machine" && rest != "":
			return "machine " + unescapeUnit(rest)
		case strings.HasPrefix(name, "lxc.payload."):
			return "lxc " + name[len("lxc.payload."):]
		case above == "lxc" && name != "":
			return "lxc " + name
		}
	}
	return ""
}

// shortID is how much of a container's id engines list.
const shortID = 12

func isContainerID(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// unescapeUnit turns a systemd unit's name back into the text that it was made of (unit_name_unescape).
func unescapeUnit(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
			if n, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		if s[i] == '-' {
			b.WriteByte('/')
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
