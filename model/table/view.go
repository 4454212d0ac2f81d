package table

import (
	"ctview/model"
	"ctview/model/filter"
)

// A Query asks a Table for a window of its flows.
type Query struct {
	Filter *filter.Filter // nil: every flow
	Sort   model.Column
	Desc   bool
	Offset int // first row of the window in the sorted order
	Limit  int // rows wanted
	Now    int64
	Owners bool // the rows are wanted for who holds their sockets: see OwnersWanted
	Routes bool // the rows are wanted for their routes: see RoutesWanted

	// Anchor asks where that flow is now: View.AnchorAt. With Follow the window is moved so that it stands
	// AnchorRow rows below the window's top, if it exists and matches.
	Anchor    model.Key
	HasAnchor bool
	Follow    bool
	AnchorRow int
}

// A View is the answer to a Query. Nothing in it refers to the Table; a View passed in again reuses its memory.
type View struct {
	Rows    []model.Row
	Offset  int // of Rows[0] in the sorted order; may differ from the query's
	Matched int // flows that match
	Total   int // flows in the table
	// Unknown counts flows for which the filter compared a value that the kernel did not tell (bytes without
	// accounting, age without timestamps): they do not match.
	Unknown  int
	NoValue  int // of the flows that match, those without a value in the column of the order, the last ones; not counted with a Limit of 0
	AnchorAt int // place of the anchor in the sorted order, -1 if it is gone or does not match
	Stats    Stats
	// Version is Table.Version at the time: while it stays, the same query has the same answer but for ages.
	Version uint64
}

// Stats are the totals that a Table keeps. Counters only grow.
type Stats struct {
	Flows               int
	Left                int    // flows for which there was no room (LimitTo): those of the last dump, and what began since
	Peak                int    // the most flows there ever were at a time
	PeakAt              int64  // when, Unix nanoseconds
	New, Updates, Ended uint64 // events applied
	Forged              uint64 // messages refused because the kernel did not send them
	Malformed           uint64 // messages refused because they were broken
	Lost                uint64 // events that the kernel dropped because the socket was full
	Gaps                uint64 // times that events were lost
	LastLost            int64  // when, Unix nanoseconds; 0 never
	Resyncs             uint64 // dumps that repaired a loss
	LastResync          DumpResult
	Stale               bool  // events were lost and no complete dump has ended since
	Dumping             bool  // a dump is running
	DumpRows            int   // rows of the running dump so far
	Loaded              bool  // at least one dump is complete: the table is whole
	LoadedAt            int64 // when the first one was complete, Unix nanoseconds; 0 not yet
	LoadedFrom          int64 // when that dump began
	CountersAt          int64
	LastEvent           int64 // Unix nanoseconds of the last event applied; 0 none
	LastEnded           int64 // when the last flow ended; 0 none
}

// A DumpResult tells what a dump changed.
type DumpResult struct {
	Began, Ended int64 // Unix nanoseconds
	Rows         int
	Added        int
	Removed      int
}
