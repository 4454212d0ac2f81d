package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"ctview/ctnl"
	"ctview/model"
	"ctview/model/crash"

	"github.com/spf13/cobra"
)

// recordOptions are the flags of record.
type recordOptions struct {
	span   time.Duration
	noDump bool
	force  bool
	buf    int
}

func recordCommand(g *globals) *cobra.Command {
	var o recordOptions
	cmd := &cobra.Command{
		Use:   "record FILE",
		Short: "write the kernel's messages to a pcap file, until interrupted",
		Long: `record writes the table and then every event to FILE, as the kernel sends them: a pcap file of link type netlink,
which tshark reads too. "ctview --read FILE", "ctview list --read FILE" and "ctview events --read FILE" show it, on any
machine and without privileges. FILE is made readable for its owner only; - is stdout.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{"record: say one file to write", "ctview record flows.pcap"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runRecord(cmd.Context(), g, args[0], o) },
	}
	f := cmd.Flags()
	addDuration(f, &o.span, "for", 0, "end `DURATION` after the table stands in FILE, e.g. 30s")
	f.BoolVar(&o.noDump, "no-dump", false, "only events, without the table at the beginning")
	f.BoolVar(&o.force, "force", false, "overwrite FILE")
	addSize(f, &o.buf, "buffer", "socket buffer of `SIZE`, e.g. 1M (default 64 MiB where allowed)")
	return cmd
}

func runRecord(ctx context.Context, g *globals, file string, o recordOptions) error {
	if o.span < 0 || o.buf < 0 {
		return usageError{"--for and --buffer must not be negative", ""}
	}
	ns, err := g.openNetns()
	if err != nil {
		return err
	}
	defer ns.Close()
	k := ctnl.NewKernel(ns)
	err = k.Probe(ctx) // before there is an empty file
	_ = k.Close()
	if err != nil {
		return err
	}
	w, err := g.createRecording(file, o.force)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	asked := g.askNothing
	if o.span > 0 { // from when the table stands in the file: one that ends before is of no use
		asked = func() {
			g.askNothing()
			time.AfterFunc(o.span, func() {
				defer crash.Guard()
				end()
			})
		}
	}
	g.noteSilence(ns)
	info, err := ctnl.Record(ctx, ns, w, ctnl.RecordOptions{NoDump: o.noDump, RcvBuf: o.buf, Opened: g.opened, Asked: asked})
	if cerr := w.Close(); err == nil && cerr != nil {
		err = failure{cerr}
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	if !g.quiet {
		fmt.Fprintf(g.err, "ctview: recorded %s and %s", model.Plural(info.Rows, "flow"), model.Plural(info.Events, "event"))
		if info.Lost > 0 {
			fmt.Fprintf(g.err, "; %d lost: the socket buffer was full", info.Lost)
		}
		if !o.noDump && !info.Dumped {
			fmt.Fprint(g.err, "; the table is not complete")
		}
		fmt.Fprintln(g.err)
	}
	return nil
}

// createRecording makes FILE, or takes stdout for "-" where that is no terminal. What is there already is overwritten
// only where asked for, and never through a symbolic link that another user may have put there.
func (g *globals) createRecording(file string, force bool) (io.WriteCloser, error) {
	if file == "-" {
		if isTerminal(g.out) {
			return nil, usageError{"record: stdout is a terminal", "ctview record - | gzip > flows.pcap.gz"}
		}
		return keepOpen{g.out}, nil
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | syscall.O_NOFOLLOW
	}
	f, err := openRegular(file, flags)
	if err == nil && force {
		err = f.Truncate(0)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, usageError{"record: " + file + " is there already", "--force overwrites it"}
	case err != nil:
		return nil, failure{fmt.Errorf("record: %w", err)}
	}
	return &newFile{File: f}, nil
}

// A keepOpen is a stream that outlives what writes to it.
type keepOpen struct{ io.Writer }

// Close implements io.Closer: it does nothing.
func (keepOpen) Close() error { return nil }

// replayEvents is events --read: s prints what the recording holds, each line with the time that it was recorded at.
func (g *globals) replayEvents(ctx context.Context, s *eventSink, o eventOptions) error {
	r, err := g.openRecording(o.read)
	if err != nil {
		return err
	}
	defer r.Close()
	var began int64
	err = g.play(o.read, r, s, ctnl.ReplayOptions{Pace: func(now int64) error {
		if began == 0 {
			began, g.began = now, now
		}
		if ctx.Err() != nil || o.span > 0 && now-began > int64(o.span) {
			return errEnough
		}
		return nil
	}})
	switch {
	case s.err != nil:
		return s.err
	case err != nil && err != errEnough:
		return err
	case signalOf(ctx) != 0:
		return context.Canceled
	}
	s.out.buf = append(s.out.buf, s.format.foot...)
	return s.out.flush()
}
