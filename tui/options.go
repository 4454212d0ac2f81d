package tui

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"syscall"
	"time"

	"ctview/model"
	"ctview/model/filter"
	"ctview/model/finding"
	"ctview/model/table"
)

// A Store answers questions about flows. *model.Table is the only real one. Every method may be called from any
// goroutine; what they fill in belongs to the caller.
type Store interface {
	View(*table.Query, *table.View)
	Get(model.Key) (model.Row, bool)
	// Each calls fn for every flow until it returns false. fn must not keep its arguments nor call the Store.
	Each(fn func(*model.Flow, *model.Extra) bool)
	Stats() table.Stats
	// Breakdown counts the flows by state, zone, helper and NAT.
	Breakdown(*table.Breakdown)
	// Watch has more kept of a flow from now on, which Readings and History then tell.
	Watch(model.Key)
	Readings(model.Key, []table.Reading) []table.Reading
	History(model.Key, []table.Change) []table.Change
	// Group puts the flows together by what they have in common.
	Group(*table.GroupQuery, *table.GroupView)
	// Recent tells what began and ended; KeepEndsSince has what ended from a time on kept, as long as there is room (0: five minutes).
	Recent(*table.RecentQuery, *table.RecentView)
	KeepEndsSince(int64)
	// Changes answers from the log of events.
	Changes(*table.ChangeQuery, *table.ChangeView)
	// Seconds tells what each of the last ten minutes' seconds brought.
	Seconds(now int64, dst []table.Second) []table.Second
	// Walk calls fn for flows in slices, with the Store locked for one; see table.Table.
	Walk(from, stride uint32, n int, fn func(*model.Flow)) (next uint32)
}

// A Target is a flow to delete: the kernel refuses if the entry of that key is not the one with that id.
type Target struct {
	Key model.Key
	ID  uint32
}

// A Kernel carries out what the operator decides, and answers what only the kernel knows. The effect of a change comes
// back through the Store, never through these calls. Methods are called from goroutines of their own, one at a time
// for each; they end when ctx does.
type Kernel interface {
	// Delete deletes the targets and returns one error for each, nil where it went. ErrGone is a flow that had ended.
	Delete(ctx context.Context, targets []Target) []error
	// Refresh has the counters and timeouts of the flows read again and put into the Store.
	Refresh(ctx context.Context, keys []model.Key) error
	// Detail returns everything the kernel says of one flow, or ErrGone.
	Detail(ctx context.Context, key model.Key) (model.Event, error)
	// System returns limits, settings and sizes.
	System(ctx context.Context) (model.System, error)
	// Resync asks for a dump of the whole table as soon as the budget allows. It returns at once.
	Resync()
}

// An Inspector is the part of the kernel that the Stats and Expect screens ask, beside the flows. Methods are called from
// goroutines of their own and end when ctx does.
type Inspector interface {
	// CPUStats returns the counters of each CPU (conntrack -S).
	CPUStats(ctx context.Context) ([]model.CPUStats, error)
	// Expects returns the expectations of every helper.
	Expects(ctx context.Context) ([]model.Expect, error)
	// DeleteExpect deletes an expectation; ErrGone if it is no longer there.
	DeleteExpect(ctx context.Context, x model.Expect) error
	// Outline returns what cures have to name of the packet filter and addresses; what is not known is zero.
	Outline(ctx context.Context) finding.Rules
	// SetSysctl writes net.netfilter.name in the namespace that is watched.
	SetSysctl(ctx context.Context, name, value string) error
}

// Errors that pass between cmd and tui.
var (
	// ErrGone is returned by a Kernel for a flow that is no longer there.
	ErrGone = errors.New("the flow is gone")
	// ErrHangup is returned by Run when the terminal went away (SIGHUP, EOF or EIO from it).
	ErrHangup error = SignalError{syscall.SIGHUP}
)

// A SignalError is returned by Run after a signal from outside; Ctrl-C on the keyboard is a plain quit.
type SignalError struct{ Signal syscall.Signal }

// Error names the signal, as strsignal(3) does.
func (e SignalError) Error() string { return e.Signal.String() }

// Options are what a session starts with. Store and Kernel are needed; everything else has a default.
type Options struct {
	Store  Store
	Kernel Kernel
	// Inspector may be nil: then there are no kernel counters and no expectations to show.
	Inspector Inspector

	Filter  string         // filter text in force at the start; must parse
	Parse   filter.Options // saved filters and label names
	Sort    string         // column name, then :asc or :desc; "" is "rate:desc"
	Columns []string       // names of the columns to show, in order; nil is the default set
	Refresh time.Duration  // between two refreshes; 0 is one second

	Host    string // shown in the title until System tells it
	Netns   string // as asked for with --netns, "" for the own one
	Version string // of ctview, for the help screen
	Config  string // path of the config file, for the help screen

	Replay   bool // the Store is fed from a file: the title says REPLAY
	ReadOnly bool // keys that change the kernel are off
	Console  bool // only marks that a Linux console's font has; TERM=linux implies it
	ASCII    bool // only ASCII marks; a locale that is not UTF-8 and vt*, dumb terminals imply it
	NoColor  bool // attributes only; NO_COLOR (not empty) and terminals without colours imply it
	NoMouse  bool
	Theme    string // auto, none, ansi, 256, light256, or one of CustomThemes; "" is auto
	// CustomThemes are the themes of files: name → role → look; see CheckTheme.
	CustomThemes map[string]map[string]string

	// Operator returns what is known now of the connections that the operator works over, so that deleting them asks twice;
	// nil: nobody's. It takes some milliseconds, and is called on the goroutine of the screen and on others.
	Operator func() model.Operator

	// Keys are bindings from the config: action → keys, in place of the action's own keys.
	Keys map[string][]string

	// LabelName returns the name of a label bit (connlabel.conf), "" for none. nil: numbers only.
	LabelName func(bit int) string

	// Views are the saved views, SaveView keeps another; nil: none can be kept. Called from a goroutine of its own.
	Views    map[string]SavedView
	SaveView func(name string, v SavedView) error

	// Lookup returns the host name of an address (reverse DNS), ServiceName the name of a port ("" for none). nil: numbers.
	// Names starts with names on, Bits with rates in bits.
	Lookup      func(ctx context.Context, addr netip.Addr) (string, error)
	ServiceName func(proto model.Proto, port uint16) string
	Names, Bits bool

	// About tells more of a flow, as "name: text": local process, place and network of the addresses. nil: nothing more.
	About func(ctx context.Context, r *model.Row) []string

	// Namespaces lists and opens other network namespaces. nil: this one only.
	Namespaces Namespaces

	// Rules are the NOTRACK rules. nil: no such screen.
	Rules Rules

	// States are the five states of packets. nil: no such screen.
	States States

	// Tracer follows packets of a flow through the rules. nil: not possible.
	Tracer Tracer

	// Create makes the file that a view is written to. nil: os.OpenFile with O_EXCL.
	Create func(name string) (io.WriteCloser, error)

	// SaveFilter keeps a filter as @name in the config. nil: it cannot be kept. Called from a goroutine of its own.
	SaveFilter func(name, text string) error

	Now     func() time.Time // nil is time.Now; its location is the one times are shown in
	Environ []string         // nil is os.Environ
	Input   *os.File         // nil is standard input, or /dev/tty if that is not a terminal
	Output  *os.File         // nil is standard output
	Escape  time.Duration    // how long Esc waits to be more than the key; 0: until the terminal says that nothing follows, term.DefaultEscape at most

	// Unstick drops what the terminal has not taken yet. Called, again and again, while a signal is to end a session whose
	// terminal does not read. nil: nothing is tried.
	Unstick func()
}
