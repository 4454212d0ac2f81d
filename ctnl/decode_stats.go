package ctnl

import (
	"encoding/binary"

	"ctview/model"
)

// cpuStats decodes the counters of one CPU, of flows or of expectations: 32-bit attributes by number. Attributes of
// another size or past the array are skipped.
func cpuStats(payload []byte, s *model.CPUStats) error {
	if len(payload) < nfgenLen {
		return errShort
	}
	*s = model.CPUStats{CPU: int(binary.BigEndian.Uint16(payload[2:]))}
	for b := payload[nfgenLen:]; len(b) > 0; {
		typ, v, rest, ok := attr(b)
		if !ok {
			return errAttrLen
		}
		b = rest
		if int(typ) < len(s.Values) && be32(v, &s.Values[typ]) {
			s.Has |= 1 << typ
		}
	}
	return nil
}
