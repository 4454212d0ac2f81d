package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is what "make dist" builds: version and commit (-X). Packages are built without the go command's own stamp, which
// depends on where and from what they are built.
var release string

// version returns the release, or else the module's version as the go command stamped it, with the commit where it is known.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v == "(devel)" {
			v += " " + s.Value[:min(12, len(s.Value))]
		}
	}
	return v
}

func versionCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return printVersion(g) },
	}
}

func printVersion(g *globals) error {
	_, err := fmt.Fprintf(g.out, "ctview %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// noArgs refuses operands with a message that names the first of them.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		cure := `"` + cmd.CommandPath() + ` --help" tells its use`
		if f := cmd.Flags().Lookup("watch"); f != nil && f.Changed {
			if watch, ok := watchCure(args[0]); ok {
				cure = watch
			}
		}
		return usageError{fmt.Sprintf("%s: unexpected %q", cmd.CommandPath(), args[0]), cure}
	}
	return nil
}
