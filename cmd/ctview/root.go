package main

import (
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ctview/cmd/ctview/names"
	"ctview/ctnl/confine"
	"ctview/model"
	"ctview/model/format"
	"ctview/model/table"

	"github.com/spf13/cobra"
)

// globals are the flags that every command has, and the streams. One per run; not safe for concurrent use.
type globals struct {
	in       io.Reader
	out, err io.Writer

	netns     string
	readOnly  bool
	color     string // auto, always, never
	noColor   bool
	ascii     bool
	quiet     bool
	verbose   bool
	config    string
	loaded    *config // once read
	machine   *config // the part of it that is the machine's, once read
	resolver  *names.Resolver
	damage    damage       // of the recording that is shown
	keeps     confine.Caps // once everything is opened; see begin
	effect    confine.Caps // of these, what is in effect all the time
	confined  bool         // privileges can be given up
	sealed    bool         // opened was called
	draws     bool         // the command is the screen
	writable  []string     // the only directories that the screen may write below; nil: all
	screen    atomic.Bool  // the screen stands: signals are its business
	tidyMu    sync.Mutex   // of tidies
	tidies    []func()     // see onExit
	elsewhere bool         // the flows are not those of a namespace that is there: a recording, the demo
	asks      bool         // the command asks before it changes something
	place     string       // where, for the question
	// maxMemory is what flows may take, in bytes; 0: not worked out yet. See memory.
	maxMemory  int64
	memoryOnce sync.Once
	over       time.Duration // between two readings of the table; 0: it is read once
	who        bool          // the command shows or compares who holds sockets
	owners     *model.Owners // as last read
	reader     *ownerReader  // that read them
	ways       bool          // the command shows or compares which way flows take
	routes     *model.Routes // as last looked up
	router     *routeFinder  // that looked
	nat        *natReading   // nil: no groups by nat-ports
	watches    bool          // list --watch: it is read again and again
	again      *table.Table  // that these readings go to, nil: each is on its own
	times      format.TimeForm
	began      int64 // when the command began, or the recording that it shows: Unix nanoseconds
	at         int64 // the time, where a recording is shown: Unix nanoseconds
}

// commandsNamed makes the commands; only: the one of that name, if there is one. Making them all takes longer than what most of
// them do.
func commandsNamed(g *globals, only string) []*cobra.Command {
	makers := []struct {
		name string
		make func(*globals) *cobra.Command
	}{
		{"list", listCommand}, {"events", eventsCommand}, {"count", countCommand}, {"stats", statsCommand}, {"expect", expectCommand},
		{"get", getCommand}, {"add", addCommand}, {"update", updateCommand}, {"delete", deleteCommand}, {"flush", flushCommand},
		{conntrackName, conntrackCommand}, {"explain", explainCommand}, {"config", configCommand}, {"version", versionCommand},
		{"notrack", notrackCommand}, {"doctor", doctorCommand}, {"diagnose", diagnoseCommand}, {"record", recordCommand},
		{"states", statesCommand}, {"trace", traceCommand},
	}
	var all []*cobra.Command
	for _, m := range makers {
		if m.name == only {
			return []*cobra.Command{m.make(g)}
		}
	}
	for _, m := range makers {
		all = append(all, m.make(g))
	}
	all = append(all, completionCommand(g), completeLineCommand(g)) // which look at the others
	return append(append(all, extraCommands(g)...), helpTopics()...)
}

// newRoot builds the command tree. only: it will be asked for the command of that name, the rest need not be there.
func newRoot(g *globals, only string) *cobra.Command {
	var (
		o           tuiOptions
		showVersion bool
	)
	root := &cobra.Command{
		Use:   "ctview [FILTER…]",
		Short: "watch the kernel's connection tracking table",
		Long: `ctview shows the flows that the kernel tracks, live, and lets you filter, sort, group and delete them.

Without a command it is the terminal UI; where stdout is no terminal, "ctview list".
FILTER is one or more words: ctview tcp and dport 443. "ctview help filter" tells the language.

The exit code is 0 when it is done (also when nothing matched), 1 when an operation failed, or with --exit-code nothing
matched, 2 for a command line or a filter that is wrong, 3 for an error of the kernel, 4 when it is not permitted, 5 when
this kernel has no conntrack, 128 and the signal when a signal ended it. "ctview conntrack" has conntrack(8)'s own.`,
		Args:                       cobra.ArbitraryArgs,
		SilenceErrors:              true,
		SilenceUsage:               true,
		DisableFlagsInUseLine:      true,
		SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, args []string) error {
			if showVersion {
				return printVersion(g)
			}
			return orCommand(cmd, args, runRoot(cmd.Context(), g, args, o))
		},
	}
	root.SetFlagErrorFunc(flagError)
	root.SetGlobalNormalizationFunc(normalName)
	root.Flags().BoolVarP(&showVersion, "version", "V", false, "print the version")
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if err := g.environment(cmd); err != nil {
			return err
		}
		g.begin(cmd)
		g.began = time.Now().UnixNano()
		if err := g.checkTimes(cmd); err != nil {
			return err
		}
		if err := g.checkColor(); err != nil {
			return err
		}
		g.asks = cmd.Flags().Lookup("yes") != nil
		err := refuseEmptyWord(cmd, args)
		if err == nil {
			g.putBack()
			g.sweep(cmd)
		}
		return err
	}
	o.addFlags(root)
	addReadFlag(root, &o.read)
	f := root.PersistentFlags()
	f.StringVar(&g.netns, "netns", "", "network namespace: `NAME`, PID or PATH (also: CTVIEW_NETNS)")
	f.BoolVar(&g.readOnly, "read-only", false, "change nothing in the kernel")
	addColorFlags(root, g)
	f.BoolVar(&g.ascii, "ascii", false, "draw with ASCII only")
	f.StringVar(&g.config, "config", "", "configuration `FILE`, in place of the machine's and the user's (also: CTVIEW_CONFIG)")
	addTimeFlag(root, g)
	f.BoolVarP(&g.quiet, "quiet", "q", false, "no summaries and notes on stderr")
	addMemoryFlag(root, g)
	f.BoolVarP(&g.verbose, "verbose", "v", false, "more on stderr")

	root.AddCommand(commandsNamed(g, only)...)
	addCompletions(g, root)
	root.SetHelpCommand(helpCommand())
	root.CompletionOptions.DisableDefaultCmd = true
	refuseEmpty(root)
	return root
}

// The variables that stand for flags that are not given.
const (
	netnsVariable  = "CTVIEW_NETNS"
	configVariable = "CTVIEW_CONFIG"
)

// environment takes from the environment what was not given as a flag. A variable that is empty is a mistake in a script, as
// an empty flag is.
func (g *globals) environment(cmd *cobra.Command) error {
	for _, v := range []struct {
		name, flag string
		to         *string
	}{{netnsVariable, "netns", &g.netns}, {configVariable, "config", &g.config}} {
		value, set := os.LookupEnv(v.name)
		switch {
		case !set || *v.to != "":
		case value == "":
			return usageError{v.name + " is empty", "unset it, or give --" + v.flag}
		case v.flag != "netns" || cmd.CommandPath() != "ctview demo": // which has namespaces of its own
			*v.to = value
		}
	}
	return nil
}

// filterText joins the words of a filter as the shell left them.
func filterText(args []string) string { return strings.Join(args, " ") }
