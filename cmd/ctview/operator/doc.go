// Package operator finds the connections that the person at the terminal works over, so that ctview can ask twice before it
// touches them.
//
//	this process ─▶ parents ─▶ the daemon with an accepted TCP socket (sshd, dropbear, telnetd, …) ─▶ its tuple
//	                   └─▶ tmux or screen ─▶ terminals of its clients ─▶ processes on them ─▶ their parents ─▶ …
//
// The environment is but a hint: a tmux server keeps that of the session it was started from. What cannot be told is marked as
// not known, never as nobody. It changes nothing and keeps nothing: clients come and go, so whoever asks asks anew.
package operator
