package main

import (
	"context"
)

func runAddFile(ctx context.Context, g *globals, file string, c change) error { return nil }
