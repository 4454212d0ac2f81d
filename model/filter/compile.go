package filter

import (
	"math"
	"slices"
	"strconv"

	"ctview/model"
)

// opcode says what an op looks at.
type opcode uint8

const (
	opFamily opcode = iota // lo: bit set of families, 1 IPv4, 2 IPv6
	opProto                // lo: the protocol
	opProtoSet
	opStatus // (Status & hi) == lo
	opState  // lo: bit set by stateSlot
	opCtState
	opPhase
	opSNAT
	opDNAT
	opNAT
	opAddr4 // one prefix: lo its bits, hi its mask
	opAddr6 // one prefix: lo, lo2 its bits, hi, hi2 its mask
	opAddrSet
	opPort // one range from lo to hi
	opPortSet
	opZone     // one range
	opMark     // (Mark & hi) == lo
	opNum      // any number, any list of ranges and masks
	opBytes    // from lo to hi, as the other amounts
	opPackets  //
	opAvgPkt   //
	opRate     // in bits a second
	opPPS      //
	opAge      // in seconds
	opTimeout  // in seconds
	opLived    // in seconds; false of what has not ended
	opEnded    // seconds since; false of what has not ended
	opHelper   // none of, or one of set.names
	opHelperIn // contains set.text
	opLabel    // any bit of set.labels
	opSecctx
	opSecctxIn
	opText
	opForwarded
	opLocal
	opPID
	opHolder   // field says what of a holder; none of, or one of set.names
	opHolderIn // contains set.text
	opRoute    // field says which way; none of, or one of set.names
	opRouteIn  // contains set.text
	opMaster   // set.master compares the master's original tuple, or its helper
	opNever
)

// Targets of a jump that end the run.
const (
	opAccept int32 = -1
	opReject int32 = -2
)

// An op is one comparison and where to go after it. Conjunctions and disjunctions are only jumps, and negations stand
// in the ops, so a run touches no more ops than it must. 64 bytes: one cache line.
type op struct {
	code     opcode
	neg      bool
	ends     ends
	side     side
	field    field // opNum
	yes, no  int32 // next op when the comparison is true or false
	lo, hi   uint64
	lo2, hi2 uint64
	set      *opSet
}

// A compiler turns an expression into ops.
type compiler struct {
	opt   *Options
	ops   []op
	extra bool
	owner bool
	route bool
}

// gen appends the ops of n, or of its negation, and returns the first one's index. yes and no are where to go when it
// is true or false. Ops are laid out back to front, as their targets must be known.
func (c *compiler) gen(n *node, neg bool, yes, no int32) int32 {
	if n.kind == nodeNot {
		return c.gen(n.kids[0], !neg, yes, no)
	}
	if n.kind == nodePred {
		o := c.pred(&n.pred)
		o.neg = o.neg != neg
		o.yes, o.no = yes, no
		c.ops = append(c.ops, o)
		return int32(len(c.ops) - 1)
	}
	kids := slices.Clone(n.kids)
	slices.SortStableFunc(kids, func(a, b *node) int { return a.cost() - b.cost() })
	and := (n.kind == nodeAnd) != neg // De Morgan; holds with unknown values, too
	next := no
	if and {
		next = yes
	}
	for _, k := range slices.Backward(kids) {
		if and {
			next = c.gen(k, neg, next, no)
		} else {
			next = c.gen(k, neg, yes, next)
		}
	}
	return next
}

// cost ranks what is dear to compare, so that it comes last.
func (n *node) cost() int {
	cost := 0
	n.each(func(p *pred) {
		if p.master {
			cost = max(cost, 1)
		}
		switch p.field {
		case fieldText:
			cost = max(cost, 2)
		case fieldHelper, fieldLabel, fieldSecctx, fieldPID, fieldProc, fieldUser, fieldCgroup, fieldIif, fieldOif:
			cost = max(cost, 1)
		}
	})
	return cost
}

// pred makes the op of p, without targets.
func (c *compiler) pred(p *pred) op {
	o := op{neg: p.rel == relNe, ends: p.ends, side: p.side}
	switch p.field {
	case fieldFlag:
		c.flag(&o, p.flag)
	case fieldAddr:
		c.addrs(&o, p.vals)
	case fieldPort:
		o.code = opPort
		if c.ranges(&o, p, opPortSet); o.lo > o.hi {
			o.code = opNever
		}
	case fieldBytes, fieldPackets, fieldAvgPkt, fieldRate, fieldPPS, fieldAge, fieldTimeout, fieldLived, fieldEnded:
		o.code = opBytes + opcode(p.field-fieldBytes)
		o.lo, o.hi = relRange(p.rel, p.vals[0].lo, math.MaxUint64)
	case fieldPID:
		c.owner = true
		c.number(&o, p)
		o.code = opPID
	case fieldProc, fieldUser, fieldCgroup:
		c.owner = true
		o.code, o.field, o.set = opHolder, p.field, &opSet{text: p.text}
		if p.rel == relHas {
			o.code = opHolderIn
		}
		for _, v := range p.vals {
			o.set.names = append(o.set.names, v.name)
			if uid, err := strconv.ParseUint(v.name, 10, 32); err == nil && p.field == fieldUser {
				o.set.masks = append(o.set.masks, numRange{uid, math.MaxUint64})
			}
		}
	case fieldIif, fieldOif:
		c.route = true
		o.code, o.field, o.set = opRoute, p.field, &opSet{text: p.text}
		if p.rel == relHas {
			o.code = opRouteIn
		}
		for _, v := range p.vals {
			o.set.names = append(o.set.names, v.name)
		}
	case fieldZone, fieldMark, fieldID, fieldICMPType, fieldICMPCode, fieldICMPID, fieldSrcKey, fieldDstKey:
		c.number(&o, p)
	case fieldProto:
		c.protos(&o, p.vals)
	case fieldText:
		c.extra = true
		o.code, o.set = opText, &opSet{search: newTextSearch(p.text, c.opt.LabelName)}
	case fieldSaved:
		o.code = opNever
	default:
		c.names(&o, p)
	}
	if p.master {
		c.extra = true
		inner := o
		return op{code: opMaster, neg: o.neg, set: &opSet{master: &inner}}
	}
	return o
}

func (c *compiler) flag(o *op, f flag) {
	o.code = opStatus
	mask := map[flag]model.Status{flagAssured: model.StatusAssured, flagReplied: model.StatusSeenReply, flagUnreplied: model.StatusSeenReply,
		flagExpected: model.StatusExpected, flagDying: model.StatusDying, flagFixed: model.StatusFixedTimeout,
		flagOffload: model.StatusOffload | model.StatusHWOffload}[f]
	o.lo, o.hi = uint64(mask), uint64(mask)
	switch f {
	case flagUnreplied:
		o.lo = 0
	case flagOffload:
		o.lo, o.neg = 0, true // any of the two bits
	case flagSNAT:
		o.code = opSNAT
	case flagDNAT:
		o.code = opDNAT
	case flagNAT:
		o.code = opNAT
	case flagForwarded:
		c.owner, o.code = true, opForwarded
	case flagLocal:
		c.owner, o.code = true, opLocal
	}
}

// ranges makes one range, or a set of them, of the values of p.
func (c *compiler) ranges(o *op, p *pred, set opcode) {
	if p.rel != relEq && p.rel != relNe {
		o.lo, o.hi = relRange(p.rel, p.vals[0].lo, fieldInfos[p.field].max)
		return
	}
	rs := mergeRanges(p.vals)
	if len(rs) == 1 {
		o.lo, o.hi = rs[0].lo, rs[0].hi
		return
	}
	o.code, o.set = set, &opSet{ranges: rs}
}

// number compiles the comparisons of numbers: the common ones have ops of their own.
func (c *compiler) number(o *op, p *pred) {
	o.field = p.field
	masked := slices.ContainsFunc(p.vals, func(v val) bool { return v.masked })
	switch {
	case p.field == fieldMark && len(p.vals) == 1 && masked:
		o.code, o.lo, o.hi = opMark, p.vals[0].lo, p.vals[0].mask
		return
	case p.field == fieldMark && len(p.vals) == 1 && p.rel <= relNe && p.vals[0].lo == p.vals[0].hi:
		o.code, o.lo, o.hi = opMark, p.vals[0].lo, math.MaxUint32
		return
	case p.field == fieldZone && !masked:
		o.code = opZone
		c.ranges(o, p, opNum)
		return
	}
	o.code = opNum
	if p.rel > relNe {
		lo, hi := relRange(p.rel, p.vals[0].lo, math.MaxUint64)
		o.set = &opSet{ranges: []numRange{{lo, hi}}}
		return
	}
	o.set = &opSet{ranges: mergeRanges(p.vals)}
	for _, v := range p.vals {
		if v.masked {
			o.set.masks = append(o.set.masks, numRange{v.lo, v.mask})
		}
	}
}

func (c *compiler) protos(o *op, vals []val) {
	if len(vals) == 1 {
		o.code, o.lo = opProto, vals[0].lo
		return
	}
	o.code, o.set = opProtoSet, &opSet{}
	for _, v := range vals {
		o.set.protos[v.lo/64] |= 1 << (v.lo % 64)
	}
}

// names compiles the fields whose values are words.
func (c *compiler) names(o *op, p *pred) {
	for _, v := range p.vals { // bit sets of the closed lists
		switch p.field {
		case fieldState:
			o.lo |= stateBits(v.name)
		case fieldFamily:
			o.lo |= familyBit(model.Family(v.lo))
		case fieldStatus, fieldCtState, fieldPhase:
			o.hi |= 1 << v.lo
		}
	}
	switch p.field {
	case fieldState:
		o.code = opState
	case fieldFamily:
		o.code = opFamily
	case fieldStatus: // any of the bits
		o.code, o.neg = opStatus, !o.neg
	case fieldCtState:
		o.code, o.lo = opCtState, o.hi
	case fieldPhase:
		o.code, o.lo = opPhase, o.hi
	case fieldLabel:
		c.labels(o, p)
	case fieldHelper, fieldSecctx:
		o.code = opHelper
		if p.field == fieldSecctx {
			c.extra = true
			o.code = opSecctx
		}
		o.set = &opSet{text: p.text}
		if p.rel == relHas {
			o.code++
		}
		for _, v := range p.vals {
			o.set.names = append(o.set.names, v.name)
		}
	}
}

// labels compiles a label comparison: any of the bits, or, with lo set, none at all.
func (c *compiler) labels(o *op, p *pred) {
	c.extra = true
	o.code, o.set = opLabel, &opSet{}
	for _, v := range p.vals {
		if v.lo == labelNone {
			o.lo = 1
		} else {
			o.set.labels.Set(int(v.lo))
		}
	}
}
