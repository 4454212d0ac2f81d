package ctcompat

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/format"
)

const (
	xmlHead   = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
	flowRoot  = "conntrack"
	expRoot   = "expect"
	xmlFixes  = format.FixState | format.FixEscape | format.FixTail | format.FixICMP | format.FixOffload | format.FixCounters
	saveFixes = format.FixState | format.FixTail
)

// A printer writes flows or expectations in the format of a command line.
type printer struct {
	r    *run
	out  output
	opt  format.Options
	root string // XML's root element
	rows bool   // it shows the kernel's rows, and not what a command did to them
	open bool   // the XML document was begun
	buf  []byte
}

// newPrinter returns a printer for c. rows says that the command shows the kernel's rows, and not what it did to them:
// only then conntrack heeds -o ktimestamp.
func (r *run) newPrinter(c *command, rows bool) *printer {
	p := &printer{r: r, out: c.out, root: flowRoot, rows: rows}
	p.opt = format.Options{Extended: c.out.extended, ID: c.out.id, KernelTime: c.out.ktimestamp && rows,
		Timestamp: c.out.timestamp}
	if c.out.xml {
		p.opt.Fix = xmlFixes
	} else {
		p.opt.Fix = saveFixes
	}
	// conntrack prints labels whenever the map was read: for -l and its kin too.
	if c.op != opDelete {
		p.opt.Labels = c.labels
	}
	return p
}

// flow prints one flow.
func (p *printer) flow(e *model.Event) {
	p.begin()
	p.opt.Now = time.Now().UnixNano()
	p.buf = p.buf[:0]
	switch {
	case p.out.save && e.Kind == model.Destroy:
		p.buf = format.AppendSave(p.buf, e, p.opt) // -D takes no labels and no helper
	case p.out.save:
		p.buf = format.AppendFullSave(p.buf, e, p.opt)
	case p.out.xml:
		p.buf = format.AppendXML(p.buf, e, p.opt)
	default:
		p.buf = format.AppendConntrack(p.buf, e, p.opt)
	}
	p.line()
}

// expect prints one expectation.
func (p *printer) expect(x *model.Expect) {
	p.begin()
	now := time.Now()
	p.opt.Now = now.UnixNano()
	p.buf = p.buf[:0]
	if p.out.xml {
		p.buf = format.AppendExpectXML(p.buf, x, p.opt)
	} else {
		if p.out.timestamp { // conntrack pads with blanks behind the microseconds, so that .013850 reads .13850
			p.buf = fmt.Appendf(p.buf, "[%d.%06d]\t", now.Unix(), now.Nanosecond()/1000)
		}
		opt := p.opt
		opt.Timestamp = false
		p.buf = format.AppendExpect(p.buf, x, opt)
	}
	p.line()
}

func (p *printer) line() {
	p.buf = append(p.buf, '\n')
	_, _ = p.r.out.Write(p.buf) // a stdio keeps its error for Flush
}

// begin opens the XML document before the first entry. conntrack does so for what it lists or follows; what it changed
// are bare elements, which scripts wrap in a root of their own.
func (p *printer) begin() {
	if p.out.xml && p.rows && !p.open {
		p.open = true
		_, _ = p.r.out.WriteString(xmlHead + "<" + p.root + ">\n")
	}
}

// end closes the XML document if there is one. conntrack does so for -L and -E, and forgets it for -G and -L dying:
// scripts add the end there.
func (p *printer) end() {
	if p.open {
		_, _ = p.r.out.WriteString("</" + p.root + ">\n")
		_ = p.r.out.Flush() // as conntrack does: the summary comes behind a document, and before lines
	}
}

// list is -L.
func (r *run) list(c *command) error {
	if c.nothingAsked() {
		// The kernel refuses a status of no bits, which is what -u UNSET and -u SRC_NAT ask for.
		return failed(c, syscall.EINVAL)
	}
	opt := ctnl.DumpOptions{Filter: c.kernelFilter(), Zero: c.opts.has(optZero)}
	switch c.table {
	case tableDying:
		opt.Source = ctnl.Dying
	case tableUnconfirmed:
		opt.Source = ctnl.Unconfirmed
	}
	p := r.newPrinter(c, true)
	err := r.dump(opt, func(e *model.Event) error {
		if c.match(e) {
			p.flow(e)
			r.shown++
		}
		return nil
	})
	if c.table == tableConntrack {
		p.end()
	}
	return wrapFailed(c, err)
}

// nothingAsked reports whether -u was given and names no bit.
func (c *command) nothingAsked() bool {
	return c.opts.has(optStatus) && c.t.status == 0 && c.t.statusClear == 0
}

// dump calls fn for each row. That a hash was resized meanwhile is no error: conntrack does not notice.
func (r *run) dump(opt ctnl.DumpOptions, fn func(e *model.Event) error) error {
	opt.OneReader = true // the order is conntrack's
	_, err := ctnl.Dump(r.ctx, r.ns, opt, func(batch []model.Event) error {
		for i := range batch {
			if err := fn(&batch[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, ctnl.ErrIncomplete) {
		return nil
	}
	return err
}

// get is -G. By original tuple the kernel finds the flow; by reply tuple, where conntrack fails, a dump does.
func (r *run) get(c *command) error {
	p := r.newPrinter(c, true)
	show := func(e *model.Event) {
		if c.match(e) {
			p.flow(e)
			r.shown++
		}
	}
	if !c.t.has.has(hasOrigSrc | hasOrigDst) {
		err := r.dump(ctnl.DumpOptions{Filter: model.KernelFilter{Family: c.family}}, func(e *model.Event) error {
			if e.Flow.Zone == 0 || c.opts.has(optZone|optOrigZone|optReplyZone) {
				show(e)
			}
			return nil
		})
		if err == nil && r.shown == 0 {
			err = syscall.ENOENT
		}
		return wrapFailed(c, err)
	}
	t := c.t
	t.mirror()
	k := model.Key{Src: t.orig.Src, Dst: t.orig.Dst, Sport: t.orig.Sport, Dport: t.orig.Dport, Proto: t.orig.Proto,
		Family: t.orig.Family}
	for _, z := range []struct {
		zone uint16
		dir  model.ZoneDir
	}{{t.zone, model.ZoneBoth}, {t.orig.zone, model.ZoneOrig}, {t.reply.zone, model.ZoneReply}} {
		if z.zone != 0 {
			k.Zone, k.ZoneDir = z.zone, z.dir
		}
	}
	e, err := r.kernel.Get(r.ctx, k)
	var errno syscall.Errno
	if errors.Is(err, ctnl.ErrGone) && !errors.As(err, &errno) {
		return nil // the kernel found a flow, but by its reply tuple: it does not match
	}
	if err != nil {
		return failed(c, err)
	}
	show(&e)
	return nil
}

// wrapFailed is failed for an error that may be nil.
func wrapFailed(c *command, err error) error {
	if err == nil {
		return nil
	}
	return failed(c, err)
}
