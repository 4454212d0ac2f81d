package ctcompat

import (
	"strings"
	"syscall"
)

// errnoTexts are glibc's strerror(3) of the errors that ctnetlink gives; Go's own begin with a small letter.
var errnoTexts = map[syscall.Errno]string{
	syscall.EPERM:           "Operation not permitted",
	syscall.ENOENT:          "No such file or directory",
	syscall.EIO:             "Input/output error",
	syscall.EAGAIN:          "Resource temporarily unavailable",
	syscall.ENOMEM:          "Cannot allocate memory",
	syscall.EACCES:          "Permission denied",
	syscall.EBUSY:           "Device or resource busy",
	syscall.EEXIST:          "File exists",
	syscall.EINVAL:          "Invalid argument",
	syscall.EMFILE:          "Too many open files",
	syscall.ENOSPC:          "No space left on device",
	syscall.ERANGE:          "Numerical result out of range",
	syscall.ENOTDIR:         "Not a directory",
	syscall.EISDIR:          "Is a directory",
	syscall.EPROTONOSUPPORT: "Protocol not supported",
	syscall.EOPNOTSUPP:      "Operation not supported",
	syscall.EAFNOSUPPORT:    "Address family not supported by protocol",
	syscall.ENOBUFS:         "No buffer space available",
	syscall.ETIMEDOUT:       "Connection timed out",
	syscall.ETIME:           "Timer expired",
	syscall.EINTR:           "Interrupted system call",
	syscall.ELOOP:           "Too many levels of symbolic links",
	syscall.EOVERFLOW:       "Value too large for defined data type",
}

func errnoText(e syscall.Errno) string {
	if s, ok := errnoTexts[e]; ok {
		return s
	}
	s := e.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}

// kernelNotSupported is the kernel's own ENOTSUPP, which has no name in userspace.
const kernelNotSupported = syscall.Errno(524)

// failure returns what conntrack says when op ended with e.
func failure(op opCode, e syscall.Errno) string {
	creates := op == opCreate || op == opAdd
	switch {
	case e == kernelNotSupported && op == opList:
		return "function not implemented"
	case e == syscall.EINVAL && op <= opCount:
		return "invalid parameters"
	case e == syscall.EEXIST && op == opCreate:
		return "Such conntrack exists, try -U to update"
	case e == syscall.ENOENT && (creates || op == opGet || op == opDelete):
		return "such conntrack doesn't exist"
	case e == syscall.ENOMEM && (creates || op == opGet):
		return "not enough memory"
	case e == syscall.EAFNOSUPPORT && op == opGet:
		return "protocol not supported"
	case e == syscall.ETIME && creates:
		return "conntrack has expired"
	case e == syscall.ENOENT && op == expCreate:
		return "master conntrack not found"
	case e == syscall.EPERM:
		return "sorry, you must be root or get CAP_NET_ADMIN capability to do this"
	}
	return errnoText(e)
}
