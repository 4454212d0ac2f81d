package main

import (
	"context"
	"ctview/ctnl/lab"
	"time"

	"github.com/spf13/cobra"
)

func helpTopics() []*cobra.Command                                            { return nil }
func reexecDemo(ctx context.Context) (bool, error)                            { return false, nil }
func runAddFile(ctx context.Context, g *globals, file string, c change) error { return nil }

func labRun(ctx context.Context, l *lab.Lab) error {
	for ctx.Err() == nil {
		l.DNS(ctx, lab.From{})
		l.DeadSYN(ctx, lab.From{Zone: 5})
		l.DNS(ctx, lab.From{V6: true, Zone: 7})
		l.Ping(ctx, lab.From{}, 2, time.Millisecond)
		if f, err := l.FTP(ctx, lab.From{}); err == nil {
			f.Get(ctx, false, 10000, 0)
		}
		if c, err := l.TCP(ctx, lab.From{}, 80); err == nil {
			go c.Download(100000000, 200000)
		}
		time.Sleep(time.Second)
	}
	return nil
}
