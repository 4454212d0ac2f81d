package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/format"
	"ctview/model/table"
	"ctview/tui"

	"github.com/spf13/cobra"
)

// A flowSource streams flows as rows of a dump, those that k lets pass; fn keeps nothing of what it is given.
type flowSource func(ctx context.Context, k model.KernelFilter, fn func([]model.Event) error) error

// addReadFlag adds --read.
func addReadFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "read", "", "a recording in place of the kernel: `FILE` of \"ctview record\", - for stdin")
	_ = cmd.MarkFlagFilename("read", "pcap")
}

// flows returns where a listing comes from: the recording called file, or if that is "" the kernel. Close it. The time
// of a recording is that of its last packet.
func (g *globals) flows(file string) (src flowSource, closer func(), err error) {
	if file != "" {
		if err := g.refuseOwners("a recording"); err != nil {
			return nil, nil, err
		}
		table, err := g.replay(file)
		if err == nil {
			err = g.whole(table, "reading the recording")
		}
		if err != nil {
			return nil, nil, err
		}
		return tableSource(table, g.at), func() {}, nil
	}
	ns, err := g.openNetns()
	if err != nil {
		return nil, nil, err
	}
	g.opened()
	src = func(ctx context.Context, k model.KernelFilter, fn func([]model.Event) error) error {
		return g.dumpOwned(ctx, ns, k, fn)
	}
	return src, func() { _ = ns.Close() }, nil
}

// tableSource streams the flows of a table as it is, one at a time.
func tableSource(tab *table.Table, now int64) flowSource {
	return func(ctx context.Context, k model.KernelFilter, fn func([]model.Event) error) (err error) {
		one := make([]model.Event, 1)
		// fn may be slow, but nobody else wants the table.
		tab.Each(func(f *model.Flow, x *model.Extra) bool {
			if err = ctx.Err(); err == nil && k.Match(f) {
				format.FillEvent(&one[0], f, x, now)
				err = fn(one)
			}
			return err == nil
		})
		return err
	}
}

// replay plays a whole recording into a table and sets the clock to its end. A recording that was cut short is shown as
// far as it goes, with a note.
func (g *globals) replay(file string) (*table.Table, error) {
	r, err := g.openRecording(file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	tab, first, last, err := g.replayInto(g.newTable(), file, r)
	again, ok := r.(io.Seeker)
	if err == nil && !tab.Stats().Loaded && ok {
		// Events alone: a table that nothing else will come for begins empty and whole.
		tab = g.newTable()
		tab.BeginDump(last)
		tab.EndDump(last, true)
		if _, err := again.Seek(0, io.SeekStart); err != nil {
			return nil, failure{fmt.Errorf("--read: %w", err)}
		}
		tab, first, last, err = g.replayInto(tab, file, r)
	}
	g.at = last
	if first != 0 {
		g.began = first
	}
	return tab, err
}

func (g *globals) replayInto(tab *table.Table, file string, r io.Reader) (_ *table.Table, first, last int64, err error) {
	sink := &clockSink{Table: tab}
	err = g.play(file, r, sink, ctnl.ReplayOptions{Expect: func(now int64, x *model.Expect) { tab.ApplyExpect(now, x) }})
	return tab, sink.first, sink.last, err
}

// play plays a recording, of which file is the name, into sink.
func (g *globals) play(file string, r io.Reader, sink ctnl.Sink, opt ctnl.ReplayOptions) error {
	g.damage = damage{file: file, short: g.damage.short}
	opt.Damaged = g.damage.add
	err := ctnl.Replay(r, sink, opt)
	switch {
	case g.damage.cut: // what was before it is shown
		return nil
	case errors.Is(err, ctnl.ErrMalformed): // not even the header is whole
		return failure{fmt.Errorf("%s: %w", file, err)}
	case errors.Is(err, io.ErrUnexpectedEOF):
		if !g.quiet && !g.damage.short {
			fmt.Fprintf(g.err, "ctview: %s: cut short: what follows the last whole packet is missing\n", model.Escape(file))
		}
		g.damage.short = true
		return nil
	}
	return err
}

// A damage is what could not be read of a recording.
type damage struct {
	file     string
	messages uint64
	first    int64 // offset of the first packet that has some
	cut      bool  // from a place on nothing could be read
	short    bool  // it ends within a packet, which was told
}

func (d *damage) add(offset int64, n uint64) {
	if d.messages == 0 && !d.cut {
		d.first = offset
	}
	d.messages += n
	d.cut = d.cut || n == 0
}

// err says what was damaged, nil if nothing was. It comes after what is whole was shown.
func (d *damage) err() error {
	rest := ""
	switch {
	case d.cut && d.messages > 0:
		rest = "; and from a place behind it nothing can be read"
	case d.cut:
		return failure{fmt.Errorf("%s: damaged: nothing can be read from byte %d on", d.file, d.first)}
	case d.messages == 0:
		return nil
	}
	return failure{fmt.Errorf("%s: damaged: %s that cannot be read, the first in the packet at byte %d%s",
		d.file, model.Plural(d.messages, "message"), d.first, rest)}
}

// openRecording opens FILE, or takes stdin for "-". It is the last that a command with --read opens.
func (g *globals) openRecording(file string) (io.ReadCloser, error) {
	defer g.opened()
	if file == "-" {
		return io.NopCloser(g.in), nil
	}
	f, err := openRegular(file, os.O_RDONLY)
	if err != nil {
		return nil, failure{fmt.Errorf("--read: %w", err)} // a pipe goes to stdin: --read -
	}
	return f, nil
}

// A clockSink is a table that remembers the first and the last time it was told.
type clockSink struct {
	*table.Table
	first, last int64
}

// Apply implements ctnl.Sink.
func (s *clockSink) Apply(now int64, evs []model.Event) {
	s.last = now
	if s.first == 0 {
		s.first = now
	}
	s.Table.Apply(now, evs)
}

// EndDump implements ctnl.Sink.
func (s *clockSink) EndDump(now int64, complete bool) table.DumpResult {
	s.last = max(s.last, now)
	return s.Table.EndDump(now, complete)
}

// runReplay shows the end of a recording on the screen. Its clock goes on from the last packet.
func runReplay(ctx context.Context, g *globals, file, text string, o tuiOptions) error {
	if file == "-" {
		return usageError{"--read: the screen cannot read a recording from stdin", "name a file, or use \"ctview list --read -\""}
	}
	opt, _, err := g.screenOptions(text, o)
	if err != nil {
		return err
	}
	places, err := g.places()
	if err != nil {
		return err
	}
	g.draws = true
	table, err := g.replay(file)
	if err != nil {
		return err
	}
	opt.Store, opt.Replay, opt.ReadOnly, opt.Netns, opt.Operator = table, true, true, file, nil
	tell := &teller{places: places}
	opt.About = func(_ context.Context, r *model.Row) []string { return tell.geoip(&r.Flow) }
	if g.at != 0 {
		ahead := time.Until(time.Unix(0, g.at))
		opt.Now = func() time.Time { return time.Now().Add(ahead) }
	}
	if err := g.screenClock(&opt); err != nil {
		return err
	}
	g.screen.Store(true)
	return ended(ctx, tui.Run(ctx, opt))
}
