package model

// An ExpectFlags is the set of NF_CT_EXPECT_* bits of an expectation.
type ExpectFlags uint32

// The bits (<linux/netfilter/nf_conntrack_common.h>).
const (
	ExpectPermanent ExpectFlags = 1 << iota
	ExpectInactive
	ExpectUserspace
)

// An Expect is an expectation: a flow that a helper awaits (CTA_EXPECT_*). A port of 0 under a mask of 0 is any port.
type Expect struct {
	Kind    Kind // New, Update, Destroy for events, Dump for rows
	PortID  uint32
	Tuple   Tuple // what is expected
	Mask    Tuple // which bits of it are compared
	Master  Tuple // original tuple of the flow that expects it
	Zone    uint16
	ID      uint32
	Timeout uint32 // seconds left; 0 with HasTimeout false where the message had none
	Class   uint32
	Flags   ExpectFlags
	Helper  string // name, unescaped
	Fn      string // expectation function's name (CTA_EXPECT_FN), unescaped
	NATDir  uint32 // direction that NAT applies to (CTA_EXPECT_NAT_DIR)
	NAT     Tuple  // CTA_EXPECT_NAT_TUPLE; Family 0 if none

	HasTimeout, HasZone, HasClass, HasFlags bool
}

// CPUStats are the counters of one CPU (CTA_STATS_*). Has has bit 1<<n set where attribute n came.
type CPUStats struct {
	CPU    int
	Has    uint32
	Values [16]uint32 // indexed by CTA_STATS_* number: 2 found, 4 invalid, 8 insert, 9 insert_failed, 10 drop, …
}

// StatInsertFailed is the number of the counter insert_failed: an entry's tuple was taken when it was to be put in.
const StatInsertFailed = 9

// SumStats adds up counter n of the CPUs; has is false where no CPU has it.
func SumStats(cpus []CPUStats, n int) (v uint64, has bool) {
	for i := range cpus {
		if cpus[i].Has&(1<<n) != 0 {
			v += uint64(cpus[i].Values[n])
			has = true
		}
	}
	return v, has
}
