package term

import (
	"errors"
	"io"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ctview/model/crash"
)

// An Input is a terminal that keys are read from. It tells when it is gone, which Bubble Tea does not, and gives sequences
// out whole. Read is for one goroutine at a time, the rest for any.
type Input struct {
	*os.File
	// Gone, if not nil, is called once when the terminal is gone, on the goroutine that reads. Ask, if not nil, writes what it is
	// given to the terminal, soon, and does not wait for that; with it, Esc waits no longer than the terminal takes to answer.
	// Set both before the first Read.
	Gone func()
	Ask  func(question string)

	lost, away atomic.Bool
	once       sync.Once
	was        *unix.Termios

	reading sync.Mutex // a reader that was told to end may still wait when the next one begins
	keys    gatherer
	ready   []byte
	buf     [512]byte
}

// NewInput returns f as Input, whose settings it remembers. escape is how long ESC alone waits at most to be more than a key; 0
// is as long as f is known to need: 20 ms on a virtual console of this machine, else DefaultEscape.
func NewInput(f *os.File, escape time.Duration) *Input {
	if escape <= 0 {
		escape = DefaultEscape
		if dev, err := unix.IoctlGetUint32(int(f.Fd()), unix.TIOCGDEV); err == nil && isVirtualConsole(uint64(dev)) {
			escape = leastEscape
		}
	}
	i := &Input{File: f, keys: gatherer{escape: escape}}
	i.was, _ = unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return i
}

// isVirtualConsole reports whether a terminal is a keyboard and a screen of this machine (tty1 to tty63, Linux:
// Documentation/admin-guide/devices.txt). There the kernel makes the sequences and hands each on whole. No variable tells that:
// sudo drops those of ssh, a telnet server sets none.
func isVirtualConsole(dev uint64) bool {
	return unix.Major(dev) == 4 && unix.Minor(dev) >= 1 && unix.Minor(dev) <= 63
}

// Fd returns the terminal, or no descriptor at all while another has it: Bubble Tea, ending, would change its settings.
func (i *Input) Fd() uintptr {
	if i.away.Load() {
		return math.MaxInt32
	}
	return i.File.Fd()
}

// Lost reports whether the terminal is gone.
func (i *Input) Lost() bool { return i.lost.Load() }

// Cook puts the settings back that the terminal had, if they are still those of a screen: a shell that stops a program and
// goes on with it may take the screen's settings for the operator's.
func (i *Input) Cook() {
	if i.away.Load() || i.was == nil || i.was.Lflag&unix.ICANON == 0 {
		return
	}
	i.hear()
	fd := int(i.File.Fd())
	if now, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil && now.Lflag&unix.ICANON == 0 {
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, i.was)
	}
}

// hear reads answers that are still to come, so that no shell takes them for something typed.
func (i *Input) hear() {
	if !i.reading.TryLock() {
		return
	}
	defer i.reading.Unlock()
	for end := time.Now().Add(i.keys.escape); i.keys.asked > 0; {
		more, err := readable(int(i.File.Fd()), time.Until(end))
		if err != nil || !more {
			return
		}
		n, err := i.File.Read(i.buf[:])
		if n == 0 || err != nil {
			return
		}
		i.keys.feed(nil, i.buf[:n], time.Now())
	}
}

// Read reads keys. It may return none, and no error. Any error but a temporary one means that the terminal is gone.
func (i *Input) Read(b []byte) (int, error) {
	defer crash.Guard()
	i.reading.Lock()
	defer i.reading.Unlock()
	if len(i.ready) == 0 {
		if err := i.gather(); err != nil {
			return 0, err
		}
	}
	n := copy(b, i.ready)
	i.ready = i.ready[:copy(i.ready, i.ready[n:])]
	return n, nil
}

// gather reads until nothing is held that waits for its time.
func (i *Input) gather() error {
	for {
		n, err := i.File.Read(i.buf[:])
		if n == 0 && err == nil {
			err = io.EOF
		}
		if errors.Is(err, syscall.EINTR) || errors.Is(err, syscall.EAGAIN) {
			return nil
		}
		if err != nil {
			i.lost.Store(true)
			i.once.Do(func() {
				if i.Gone != nil {
					i.Gone()
				}
			})
			return err
		}
		i.ready = i.keys.feed(i.ready, i.buf[:n], time.Now())
		if i.Ask != nil && i.keys.ask() {
			i.Ask(question)
		}
		wait := i.keys.wait(time.Now())
		if wait == 0 || len(i.ready) >= len(i.buf) {
			return nil
		}
		if more, err := readable(int(i.File.Fd()), wait); err != nil || !more {
			i.ready = i.keys.expire(i.ready, time.Now())
			return nil
		}
	}
}

// readable waits for something to read from fd.
func readable(fd int, wait time.Duration) (bool, error) {
	end := time.Now().Add(wait)
	for {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, int(max(time.Until(end).Milliseconds()+1, 0)))
		if !errors.Is(err, syscall.EINTR) {
			return n > 0, err
		}
	}
}
