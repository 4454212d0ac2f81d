package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxText is the most that a configuration or a theme may have, in bytes.
const maxText = 1 << 20

// readText reads a whole file that the user wrote: a configuration, a theme. A pipe, a device or a terminal in its place
// would be waited for, or never end: what is no regular file, or has more than maxText, is refused unread. So is what
// does not belong to the user whose.
func readText(path string, whose int) ([]byte, error) {
	if path == os.DevNull { // the usual way to say "none"
		return nil, nil
	}
	f, err := openOf(path, whose)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxText+1)) // files of /proc say that they have 0 bytes
	if err == nil && len(b) > maxText {
		err = fmt.Errorf("%s: larger than %d bytes", path, maxText)
	}
	return b, err
}

// anybody is the owner of a file that may have any.
const anybody = -1

// openOf is openRegular for reading, of a file that belongs to the user whose and is no symbolic link. What is opened is
// what is checked: between a look and an opening another could be put in its place.
func openOf(path string, whose int) (*os.File, error) {
	if whose == anybody {
		return openRegular(path, os.O_RDONLY)
	}
	f, err := openRegular(path, os.O_RDONLY|syscall.O_NOFOLLOW)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s: a symbolic link in the directory of another user (uid %d), which root does not follow", path, whose)
	}
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil {
		if st, ok := fi.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != whose {
			err = fmt.Errorf("%s: does not belong to the user (uid %d) in whose directory it is: chown it", path, whose)
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// openRegular opens path, waiting for nobody, and refuses what is no regular file. flags are those of os.OpenFile; a new
// file is its owner's alone. Nothing is cut off before the check.
func openRegular(path string, flags int) (*os.File, error) {
	var f *os.File
	err := asRoot(func() (err error) {
		f, err = os.OpenFile(path, flags|syscall.O_NONBLOCK, 0o600)
		return err
	})
	var pe *fs.PathError
	switch {
	case errors.Is(err, syscall.ENXIO): // a pipe that nobody reads, a socket
		return nil, fmt.Errorf("%s: not a file", path)
	case errors.As(err, &pe):
		return nil, fmt.Errorf("%s: %w", path, pe.Err)
	case err != nil:
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s: a %s, not a file", path, kindOf(fi.Mode()))
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// kindOf names what is no regular file.
func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeNamedPipe != 0:
		return "pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

// notThere reports whether err says that there is no file for this user: it is missing, another user's secret, or below
// what is no directory (HOME=/dev/null).
func notThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR)
}

// A newFile is a file that is being written for the first time: if nothing could be written, it goes again.
type newFile struct {
	*os.File
	wrote bool
}

// Write implements io.Writer.
func (f *newFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	f.wrote = f.wrote || n > 0
	return n, err
}

// Close closes the file, and removes it where it stayed empty.
func (f *newFile) Close() error {
	err := f.File.Close()
	if !f.wrote {
		_ = asRoot(func() error { return os.Remove(filepath.Clean(f.Name())) })
	}
	return err
}
