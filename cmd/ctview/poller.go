package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// startPoller makes the runtime take the two descriptors that it waits with, as long as it is sure to get them: where
// it gets none (runtime.netpollinit) it throws a page of goroutines at the operator, and nothing can catch that.
func startPoller() error {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("nothing to wait with: %w", os.NewSyscallError("epoll_create1", err))
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	_ = unix.Close(epoll)
	if err != nil {
		return fmt.Errorf("nothing to wait with: %w", os.NewSyscallError("eventfd", err))
	}
	_ = unix.Close(event)
	time.AfterFunc(time.Hour, func() {}).Stop() // a timer needs the poller
	return nil
}
