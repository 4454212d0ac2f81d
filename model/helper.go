package model

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// A HelperID stands for the name of a conntrack helper, so that a Flow needs no pointer. 0 is no helper. Names are
// interned for the life of the process, as by package unique; the kernel has about a dozen, users can add a few.
// Past 254 names the rest share the name "?".
type HelperID uint8

// helperOverflow stands for every name that found no room.
const helperOverflow HelperID = 255

type helperTable struct {
	ids   map[string]HelperID
	names []string // by id; names[0] is ""
}

var (
	helperMu sync.Mutex // serializes writers; readers load the immutable table
	helpers  atomic.Pointer[helperTable]
)

func init() {
	helpers.Store(&helperTable{ids: map[string]HelperID{"": 0}, names: []string{""}})
}

// HelperFor returns the id of the helper called name. It allocates only for a name never seen before. Safe for
// concurrent use.
func HelperFor(name []byte) HelperID {
	if id, ok := helpers.Load().ids[string(name)]; ok {
		return id
	}
	helperMu.Lock()
	defer helperMu.Unlock()
	t := helpers.Load()
	if id, ok := t.ids[string(name)]; ok {
		return id
	}
	if len(t.names) >= int(helperOverflow) {
		return helperOverflow
	}
	n := &helperTable{ids: maps.Clone(t.ids), names: append(slices.Clone(t.names), string(name))}
	id := HelperID(len(t.names))
	n.ids[string(name)] = id
	helpers.Store(n)
	return id
}

// String returns the helper's name as the kernel sent it, unescaped; "" for none.
func (h HelperID) String() string {
	if h == helperOverflow {
		return "?"
	}
	t := helpers.Load()
	if int(h) < len(t.names) {
		return t.names[h]
	}
	return ""
}

// HelperNames returns the names by their id; the first, of no helper, is "". The caller must not change them.
func HelperNames() []string { return helpers.Load().names }
