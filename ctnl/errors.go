package ctnl

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// What callers act on. Every error of this package that has such a cause wraps the sentinel and the errno.
var (
	// ErrPermission: CAP_NET_ADMIN is missing in the namespace, or CAP_SYS_ADMIN to enter it.
	ErrPermission = errors.New("not permitted")
	// ErrNoConntrack: this kernel has no ctnetlink (module not there or not loadable).
	ErrNoConntrack = errors.New("the kernel has no conntrack netlink interface (nf_conntrack_netlink)")
	// ErrGone: the flow or expectation does not exist, or not with the ID asked for.
	ErrGone = errors.New("no such flow")
	// ErrExists: a flow or expectation with such a tuple exists.
	ErrExists = errors.New("it exists")
	// ErrBusy: the kernel refuses to change it now: offloaded flows, clearing ASSURED or SEEN_REPLY.
	ErrBusy = errors.New("the kernel refuses to change this")
	// ErrFull: the table has as many entries as the host allows one namespace (nf_conntrack_max).
	ErrFull = errors.New("the connection tracking table is full")
	// ErrInvalid: the kernel calls the request invalid.
	ErrInvalid = errors.New("invalid for the kernel")
	// ErrUnsupported: the kernel does not have what was asked for.
	ErrUnsupported = errors.New("not supported by this kernel")
	// ErrMalformed: a message is broken.
	ErrMalformed = errors.New("malformed message")
	// ErrOverrun: the socket's buffer was too small for the answers; the requests were carried out.
	ErrOverrun = errors.New("answers lost: receive buffer full")
	// ErrTimeout: the kernel did not answer in time.
	ErrTimeout = errors.New("the kernel did not answer in time")
	// ErrIncomplete: a dump ended but may have missed flows.
	ErrIncomplete = errors.New("dump incomplete")
	// ErrNetnsGone: the name of the network namespace no longer leads to it.
	ErrNetnsGone = errors.New("the network namespace is gone")
	// ErrNoNetns: there is no such network namespace.
	ErrNoNetns = errors.New("no such network namespace")
)

// sentinels maps the errnos whose meaning does not depend on the request.
var sentinels = map[unix.Errno]error{
	unix.EPERM:           ErrPermission,
	unix.EACCES:          ErrPermission,
	unix.ENOENT:          ErrGone,
	unix.EEXIST:          ErrExists,
	unix.EBUSY:           ErrBusy,
	unix.EINVAL:          ErrInvalid,
	unix.ERANGE:          ErrInvalid,
	unix.EOPNOTSUPP:      ErrUnsupported,
	unix.EAFNOSUPPORT:    ErrNoConntrack,
	unix.EPROTONOSUPPORT: ErrNoConntrack,
	unix.ENOBUFS:         ErrOverrun,
}

// errnoError is what an errno means: a sentinel and the errno, both found by errors.Is. Other errors, and nil, stay.
func errnoError(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	if s, ok := sentinels[errno]; ok {
		return fmt.Errorf("%w: %w", s, errno)
	}
	return errno
}

// fullError is what ENOMEM means to who makes a flow (__nf_conntrack_alloc): mostly that the table is full. entries and limit are
// what Count says then.
func fullError(err error, entries, limit uint32) error {
	if limit == 0 || uint64(entries)*100 < uint64(limit)*99 { // a few may have ended since
		return err
	}
	return fmt.Errorf("%w: %d of %d entries (nf_conntrack_max): %w", ErrFull, entries, limit, err)
}

// errReading is EBUSY for a question that changes nothing: another dump goes on on the socket (__netlink_dump_start).
var errReading = errors.New("the kernel is still answering another question; try again")

// probeError is errnoError for questions that any kernel with ctnetlink finds valid: there EINVAL is nfnetlink's
// answer for a subsystem that is not registered (nfnetlink_rcv_msg).
func probeError(err error) error {
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%w: %w", errReading, unix.EBUSY)
	}
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %w", ErrNoConntrack, unix.EINVAL)
	}
	return errnoError(err)
}
