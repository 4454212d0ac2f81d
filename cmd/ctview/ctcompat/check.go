package ctcompat

import "ctview/model"

// finish checks what can only be known at the end of a command line: first what conntrack checks, in its order, then
// what it should.
func (p *parser) finish() error {
	c := p.cmd
	if c.family == 0 {
		switch c.op {
		case opList, opUpdate, opDelete, opGet, opFlush, opEvent:
		default:
			c.family = model.IPv4
		}
	}
	if c.opts.has(optAnyNAT) && c.opts.has(optSrcNAT|optDstNAT) {
		return usageErrorf("cannot specify `--src-nat' or `--dst-nat' with `--any-nat'")
	}
	legal := generalLegal[c.op]
	if err := checkLegal(legal, uint32(c.opts), optNames); err != nil {
		return err
	}
	if p.hasHelper && c.op != opCreate && c.op != opAdd && c.op != opUpdate {
		return usageErrorf("Illegal option `--helper' with this command")
	}
	if legal[0] == '?' && c.opts&optOrig != optOrig && c.opts&optReply != optReply {
		if c.opts&optOrig == 0 && c.opts.has(optReply) {
			return usageErrorf("you have to specify `--reply-src' and `--reply-dst'")
		}
		return usageErrorf("you have to specify `--src' and `--dst'")
	}
	if c.op != opHelp && c.proto != nil {
		if err := c.proto.check(c.op, p.flags, &c.t); err != nil {
			return err
		}
	}
	return c.checkMasks()
}

// checkMasks is what conntrack checks when it prepares a filter, after the command line is read.
func (c *command) checkMasks() error {
	switch c.op {
	case opList:
		if c.table != tableConntrack {
			break
		}
		// conntrack lets NAT options pass, and zeroes the counters of all flows while it shows some.
		if c.opts.has(optComparison|optSrcNAT|optDstNAT|optAnyNAT) && c.opts.has(optZero) {
			return usageErrorf("Can't use -z with filtering parameters")
		}
		fallthrough
	case opUpdate, opDelete, opEvent:
		if c.opts.has(optMaskSrc) && !c.opts.has(optSrc) {
			return usageErrorf("Can't use --mask-src without --src")
		}
		if c.opts.has(optMaskDst) && !c.opts.has(optDst) {
			return usageErrorf("Can't use --mask-dst without --dst")
		}
	}
	return c.checkSafe()
}

// checkSafe refuses the command lines that conntrack accepts and takes for something that nobody can have meant.
func (c *command) checkSafe() error {
	if c.opts.has(optSecmark) && (c.op == opList || c.op == opEvent) {
		return usageErrorf("`--secmark' can't filter: kernels since 2.6.37 tell no secmarks, and conntrack(8) showed every entry")
	}
	sets := c.op == opCreate || c.op == opAdd || c.op == opUpdate
	if sets && c.t.status&(model.StatusOffload|model.StatusHWOffload) != 0 {
		return usageErrorf("`--status' can't set OFFLOAD: only the kernel does, and it ignored conntrack(8)")
	}
	if c.op != opDelete {
		return nil
	}
	const nat = optSrcNAT | optDstNAT
	switch {
	case c.opts.has(optStatus) && c.t.status == 0 && c.t.statusClear == 0:
		return usageErrorf("`--status' names nothing to compare here, conntrack(8) deleted every entry")
	case c.opts.has(optTimeout) && !c.opts.has(optComparison):
		return usageErrorf("`--timeout' alone is no filter for -D, conntrack(8) ignored it; add another or use -F to delete everything")
	case !c.opts.has(optComparison | nat | optFamily):
		return usageErrorf("-D without a filter would delete every entry, use -F if that is meant")
	}
	return nil
}
