// Package crash has the terminal given back before a panic ends the process: its text can then be read, and the shell used.
// Go has no hook for that, so every goroutine of a program with a screen begins with `defer crash.Guard()`; a test looks
// for those that do not.
package crash

import "sync/atomic"

var before atomic.Pointer[func()]

// Before sets what is done before a panic goes on: f, which may be called on any goroutine, or nothing for nil.
func Before(f func()) {
	if f == nil {
		before.Store(nil)
		return
	}
	before.Store(&f)
}

// Guard is deferred at the top of a goroutine. It lets the panic go on.
func Guard() {
	r := recover()
	if r == nil {
		return
	}
	if f := before.Load(); f != nil {
		(*f)()
	}
	panic(r)
}
