package main

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"ctview/ctnl/lab"
)

// bareCommand makes this program the bare read loop: what reading a table costs whoever reads it.
const bareCommand = "bare-read"

// bareRead runs the loop in ns.
func bareRead(ns *lab.NS) (usage, error) {
	self, err := os.Executable()
	if err != nil {
		return usage{}, err
	}
	return run(ns, "", self, bareCommand)
}

func bareMain() int {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := dumpChunks(fd, func([]byte) {}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// dumpChunks asks for the table and calls fn for each datagram but the last.
func dumpChunks(fd int, fn func([]byte)) error {
	req := make([]byte, unix.NLMSG_HDRLEN+4)
	binary.NativeEndian.PutUint32(req, uint32(len(req)))
	binary.NativeEndian.PutUint16(req[4:], unix.NFNL_SUBSYS_CTNETLINK<<8|1) // IPCTNL_MSG_CT_GET
	binary.NativeEndian.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	if err := unix.Sendto(fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(fd, buf)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case binary.NativeEndian.Uint16(buf[4:]) == unix.NLMSG_DONE:
			return nil
		case binary.NativeEndian.Uint16(buf[4:]) == unix.NLMSG_ERROR:
			return fmt.Errorf("the kernel refused the dump")
		}
		fn(buf[:n])
	}
}
