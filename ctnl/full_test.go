package ctnl_test

import (
	"errors"
	"strings"
	"testing"

	"ctview/ctnl"

	"golang.org/x/sys/unix"
)

// TestFullTableIsNamed: ENOMEM for a new flow means a full table where it is full (a few may have ended since), and memory where
// it is not. That the kernel does so is seen in TestTableFull on machines that are ours (make test-kernels).
func TestFullTableIsNamed(t *testing.T) {
	for _, tt := range []struct {
		entries, limit uint32
		full           bool
	}{{262144, 262144, true}, {262200, 262144, true}, {262000, 262144, true}, {200000, 262144, false}, {10, 0, false}, {0, 262144, false}} {
		err := ctnl.FullError(unix.ENOMEM, tt.entries, tt.limit)
		if !errors.Is(err, unix.ENOMEM) || errors.Is(err, ctnl.ErrFull) != tt.full || strings.Contains(err.Error(), "nf_conntrack_max") != tt.full {
			t.Errorf("%d of %d: %v, want full %v", tt.entries, tt.limit, err, tt.full)
		}
	}
}
