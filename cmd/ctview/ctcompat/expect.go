package ctcompat

import (
	"fmt"

	"ctview/model"
)

// expects is -L expect and -C expect.
func (r *run) expects(c *command) error {
	p := r.newPrinter(c, true)
	p.root = expRoot
	n := 0
	err := r.kernel.Expects(r.ctx, c.family, func(x *model.Expect) error {
		n++
		if c.op == expList {
			p.expect(x)
		}
		return nil
	})
	p.end()
	if c.op == expCount && r.ctx.Err() == nil {
		fmt.Fprintf(r.out, "%d\n", n)
	}
	r.shown = n
	return wrapFailed(c, err)
}

// changeExpect is -G, -I, -D and -F on expectations. After -D the number in the summary is 0 and the exit code 1, even
// when it worked: so it is in conntrack, and its own tests rely on it.
func (r *run) changeExpect(c *command) error {
	switch c.op {
	case expGet:
		x, err := r.kernel.GetExpect(r.ctx, c.t.orig.Tuple, 0)
		if err != nil {
			return failed(c, err)
		}
		p := r.newPrinter(c, true)
		p.expect(&x)
		return nil
	case expDelete:
		return wrapFailed(c, r.kernel.DeleteExpect(r.ctx, c.t.orig.Tuple, 0, 0))
	case expFlush:
		if err := r.kernel.FlushExpects(r.ctx); err != nil {
			return failed(c, err)
		}
		fmt.Fprint(r.Stderr, prefix+"expectation table has been emptied.\n")
		return nil
	}
	x := c.expectation()
	return wrapFailed(c, r.kernel.CreateExpect(r.ctx, &x))
}

// expectation turns the template into an expectation to be made. The protocol is that of -p; conntrack makes it the
// port number.
func (c *command) expectation() model.Expect {
	x := model.Expect{Tuple: c.t.expTuple.Tuple, Mask: c.t.expMask.Tuple, Master: c.t.orig.Tuple, Timeout: c.t.timeout,
		HasTimeout: c.t.has.has(hasTimeout)}
	x.Tuple.Proto, x.Mask.Proto = c.num, c.num
	return x
}
