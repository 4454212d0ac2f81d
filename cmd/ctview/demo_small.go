//go:build small

package main

import "github.com/spf13/cobra"

// extraCommands are none: a small build has no demo, for that has a network of its own in it.
func extraCommands(*globals) []*cobra.Command { return nil }
