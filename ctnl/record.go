package ctnl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"ctview/model"
	"ctview/model/crash"
	"ctview/model/table"

	"golang.org/x/sync/errgroup"
)

// lastWords is how long reading what is queued may take at the end.
const lastWords = 2 * time.Second

// RecordOptions say what Record writes.
type RecordOptions struct {
	NoDump bool // only events, not the table at the beginning
	RcvBuf int  // as WatchOptions.RcvBuf
	// Opened, if not nil, is called once the events are subscribed to and the head of the file is written: no other file or
	// namespace will be opened. Asked, if not nil, is called once the kernel will be asked for nothing more, perhaps from
	// another goroutine.
	Opened, Asked func()
	// Progress, if not nil, is called now and then from another goroutine.
	Progress func(RecordInfo)
}

// A RecordInfo says what a recording holds.
type RecordInfo struct {
	Packets uint64 // datagrams and marks written
	Events  uint64
	Rows    uint64 // flows of the dump
	Lost    uint64 // events that the kernel dropped; the file says where
	Dumped  bool   // the dump is complete
}

// Record writes the table of ns and then all flow and expectation events to w as a capture file, until ctx ends. The
// file is whole when it returns, with or without an error.
func Record(ctx context.Context, ns *Netns, w io.Writer, opt RecordOptions) (RecordInfo, error) {
	rec := &recording{c: NewCaptureWriter(w), opt: opt}
	watcher, err := Watch(ns, WatchOptions{RcvBuf: opt.RcvBuf, Raw: rec.c.Write,
		Expect: func(int64, []model.Expect) {}})
	if err != nil {
		return RecordInfo{}, err
	}
	defer watcher.Close()
	if err := rec.c.Flush(); err != nil {
		return RecordInfo{}, err
	}
	if opt.Opened != nil {
		opt.Opened()
	}
	if opt.Asked == nil {
		opt.Asked = func() {}
	}
	if opt.NoDump {
		opt.Asked()
	}
	g, ctx := errgroup.WithContext(ctx)
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g.Go(func() error {
		defer crash.Guard()
		return watcher.Run(watching, rec)
	})
	g.Go(func() error {
		defer crash.Guard()
		defer stop()
		<-ctx.Done()
		last, cancel := context.WithTimeout(watching, lastWords)
		defer cancel()
		_ = watcher.drained(last, func() {}) // what was queued by then belongs into the file
		return nil
	})
	g.Go(func() error {
		defer crash.Guard()
		return rec.keepUp(ctx)
	})
	if !opt.NoDump {
		g.Go(func() error {
			defer crash.Guard()
			defer opt.Asked()
			return rec.dump(ctx, ns, watcher)
		})
	}
	err = g.Wait()
	if e := rec.c.Flush(); err == nil {
		err = e
	}
	return rec.read(), err
}

// keepUp writes out what is buffered every second, so that little is missing from the file of a recorder that is
// killed, and ends the recording when writing fails.
func (r *recording) keepUp(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if err := r.c.Flush(); err != nil {
				return err
			}
		}
	}
}

// A recording is the Sink of Record: it counts.
type recording struct {
	c    *CaptureWriter
	opt  RecordOptions
	mu   sync.Mutex
	info RecordInfo
}

func (r *recording) read() RecordInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.info.Packets = r.c.Packets()
	return r.info
}

// dump writes the table. Its rows are handed on in the file as they came.
func (r *recording) dump(ctx context.Context, ns *Netns, w *Watcher) error {
	err := w.drained(ctx, func() { r.c.mark(nowNano(), markDump, 0) })
	if err == nil {
		_, err = Dump(ctx, ns, DumpOptions{Raw: r.c.Write}, func(batch []model.Event) error {
			r.count(func(i *RecordInfo) { i.Rows += uint64(len(batch)) })
			return nil
		})
	}
	switch {
	case err == nil:
		r.count(func(i *RecordInfo) { i.Dumped = true })
	case ctx.Err() == nil && !errors.Is(err, ErrIncomplete):
		return fmt.Errorf("ctnl: record: %w", err)
	}
	return nil
}

func (r *recording) count(add func(*RecordInfo)) {
	r.mu.Lock()
	add(&r.info)
	r.info.Packets = r.c.Packets()
	info := r.info
	r.mu.Unlock()
	if r.opt.Progress != nil {
		r.opt.Progress(info)
	}
}

// Apply counts events.
func (r *recording) Apply(_ int64, evs []model.Event) {
	r.count(func(i *RecordInfo) { i.Events += uint64(len(evs)) })
}

// Lost writes a mark.
func (r *recording) Lost(now int64, n uint64) {
	r.c.mark(now, markLost, n)
	r.count(func(i *RecordInfo) { i.Lost += n })
}

// BeginDump does nothing: no dump goes through the Sink.
func (r *recording) BeginDump(int64) {}

// EndDump does nothing.
func (r *recording) EndDump(int64, bool) table.DumpResult { return table.DumpResult{} }

// Refuse does nothing: forged datagrams are not recorded, broken ones are as they came.
func (r *recording) Refuse(uint64, uint64) {}
