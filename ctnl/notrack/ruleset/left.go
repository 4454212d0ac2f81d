package ruleset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MadeRaw is the name of a chain without rules by which a raw table of iptables-nft is known that was not there before
// ctview's rules.
const MadeRaw = "made-by-ctview"

// Left names the backends in which something of ctview's may stand, alive or not. It asks for the names of tables and for what
// is in raw tables: no other rule is read, no program is run, and nothing is made. Errors wrap ctnl.ErrPermission.
func Left(ns Namespace) (backends []string, err error) {
	rd, err := Dial(ns)
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	ms, err := rd.Dump(unix.NFT_MSG_GETTABLE)
	if errors.Is(err, unix.EPERM) {
		return nil, Wrap("read tables", err)
	} // else a kernel without nf_tables
	for _, m := range ms {
		switch t := parseTable(m.Data); {
		case t.Named() && !slices.Contains(backends, "nftables"):
			backends = append(backends, "nftables")
		case t.Name == "raw" && (t.Family == unix.NFPROTO_IPV4 || t.Family == unix.NFPROTO_IPV6) && !slices.Contains(backends, "iptables-nft"):
			marked, err := rd.marked(&t)
			if err != nil {
				return nil, Wrap("read the raw table", err)
			}
			if marked {
				backends = append(backends, "iptables-nft")
			}
		}
	}
	for _, v6 := range [...]bool{false, true} {
		if slices.Contains(LegacyTables(ns, v6), "raw") && legacyMarked(ns, v6) {
			return append(backends, "iptables-legacy"), nil
		}
	}
	return backends, nil
}

// marked reports whether a raw table has a chain or a rule that bears ctview's mark.
func (c *Reader) marked(t *Table) (bool, error) {
	_, err := c.request(unix.NFT_MSG_GETCHAIN, 0, t.Family, StringAttr(unix.NFTA_CHAIN_TABLE, t.Name), StringAttr(unix.NFTA_CHAIN_NAME, MadeRaw))
	if err == nil || !errors.Is(err, unix.ENOENT) {
		return err == nil, err
	}
	ms, err := c.request(unix.NFT_MSG_GETRULE, unix.NLM_F_DUMP, t.Family, StringAttr(unix.NFTA_RULE_TABLE, t.Name))
	for _, m := range ms {
		r := ParseRule(m.Data)
		if _, ok := ParseTag(r.Said()); ok && r.Table == t.Name { // old kernels tell of every table
			return true, nil
		}
	}
	return false, err
}

// What xtables answers, of either family (include/uapi/linux/netfilter_ipv4/ip_tables.h): for a name of 32 bytes, where its
// hooks begin, how many rules it has and how long they are; then the rules.
const (
	xtGetInfo    = 64 // IPT_SO_GET_INFO
	xtGetEntries = 65
	xtInfoLen    = 84
	xtMaxTable   = 16 << 20
)

// xtEntriesHead is the size of struct ipt_get_entries, aligned as its counters are: by eight but on i386.
func xtEntriesHead() int {
	if runtime.GOARCH == "386" {
		return 36
	}
	return 40
}

// legacyMarked reports whether something in a legacy raw table, which is there, says that it is ctview's; true, too, if the
// kernel does not tell: the program will.
func legacyMarked(ns Namespace, v6 bool) (marked bool) {
	domain, level := unix.AF_INET, unix.SOL_IP
	if v6 {
		domain, level = unix.AF_INET6, unix.SOL_IPV6
	}
	marked = true
	_ = ns.Do(func() error {
		fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		info := make([]byte, xtInfoLen)
		copy(info, "raw")
		if err := getsockopt(fd, level, xtGetInfo, info); err != nil {
			return err
		}
		size := binary.NativeEndian.Uint32(info[xtInfoLen-4:])
		if size > xtMaxTable {
			return nil
		}
		b := make([]byte, xtEntriesHead()+int(size))
		copy(b, "raw")
		binary.NativeEndian.PutUint32(b[32:], size)
		if err := getsockopt(fd, level, xtGetEntries, b); err != nil {
			return err // EAGAIN: it has changed meanwhile
		}
		marked = bytes.Contains(b, []byte("ctview "))
		return nil
	})
	return marked
}

// getsockopt asks with what is in b and fills it.
func getsockopt(fd, level, opt int, b []byte) error {
	n := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt), uintptr(unsafe.Pointer(&b[0])),
		uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
