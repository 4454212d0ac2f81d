package ctcompat

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// The sizes of a stream's buffer in glibc: what stat(2) tells of the file, if it is below BUFSIZ.
const (
	stdioDefault = 4096 // of pipes and of nearly all files
	stdioMax     = 8192 // BUFSIZ
)

// A stdio is stdout, which reaches the file in the order that C's stdio gives it: whoever reads stdout and stderr of
// conntrack from one pipe finds the summary before the entries, if those are few, and may take the first line for it. It
// collects more than stdio does, for the sake of fewer writes, and makes up the difference before anything is written to
// stderr. It is for one goroutine, but for -E, which writes
// its batches whole and holds a lock when it writes to stderr.
type stdio struct {
	w    io.Writer
	buf  []byte
	n    int // bytes since the last Flush
	size int // of stdio's buffer; 0 on a terminal, where it is written at every line
	err  error
}

func newStdio(w io.Writer) *stdio {
	s := &stdio{w: w, buf: make([]byte, 0, outBuffer), size: stdioDefault}
	f, ok := w.(*os.File)
	var st unix.Stat_t
	if !ok || unix.Fstat(int(f.Fd()), &st) != nil {
		return s
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
		s.size = 0
	} else if st.Blksize <= 0 || st.Blksize > stdioMax {
		s.size = stdioMax
	} else {
		s.size = int(st.Blksize)
	}
	return s
}

// Write collects p. The first error stays, and Flush returns it.
func (s *stdio) Write(p []byte) (int, error) {
	if len(s.buf)+len(p) > cap(s.buf) {
		s.write(len(s.buf))
	}
	s.buf = append(s.buf, p...)
	s.n += len(p)
	return len(p), s.err
}

// WriteString is Write.
func (s *stdio) WriteString(p string) (int, error) { return s.Write([]byte(p)) }

// Flush writes all.
func (s *stdio) Flush() error {
	s.write(len(s.buf))
	s.n = 0
	return s.err
}

// settle writes what stdio would have written by now: whole buffers. A full one waits for the next byte.
func (s *stdio) settle() {
	held := 0
	if s.size > 0 && s.n > 0 {
		held = (s.n-1)%s.size + 1
	}
	s.write(len(s.buf) - held)
}

// write writes the first n bytes; n is negative if Write wrote some of what stdio would hold back.
func (s *stdio) write(n int) {
	if n <= 0 {
		return
	}
	if s.err == nil {
		_, s.err = s.w.Write(s.buf[:n])
	}
	s.buf = s.buf[:copy(s.buf, s.buf[n:])]
}

// A stderr is stderr behind a stdio.
type stderr struct {
	out *stdio
	w   io.Writer
}

func (e stderr) Write(p []byte) (int, error) {
	e.out.settle()
	return e.w.Write(p)
}
