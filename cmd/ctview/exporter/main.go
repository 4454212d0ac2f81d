package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"ctview/cmd/ctview/exporter/ipfix"
	"ctview/ctnl"
	"ctview/model"
	"ctview/model/crash"
	"ctview/model/filter"

	"github.com/prometheus/exporter-toolkit/web"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
)

// Exit codes, those of ctview.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitKernel      = 3
	exitPermission  = 4
	exitNoConntrack = 5
)

// defaultListen is where Prometheus finds it: on this machine only, at a port beyond those that its list of exporters gave away.
const defaultListen = "127.0.0.1:10967"

// options are the command line.
type options struct {
	netns     []string
	listen    []string
	webConfig string
	labels    int
	ipfix     string
	// ipfixProto is udp or tcp; ipfixPEN the number of ctview's own elements.
	ipfixProto string
	ipfixPEN   uint32
	active     time.Duration // 0: no records of flows that go on
	version    bool
}

// A usageError is a command line that cannot be carried out as it stands: what is wrong, and the cure.
type usageError struct{ msg, cure string }

func (e usageError) Error() string { return e.msg }

func main() {
	debug.SetGCPercent(20) // the tables are pointer-free: see cmd/ctview
	ends := []os.Signal{syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGINT) { // as a script's & does
		ends = append(ends, syscall.SIGINT)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	code := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// start is main without the process. It returns the exit code.
func start(ctx context.Context, args []string, out, errOut io.Writer) int {
	cmd := command(errOut)
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SetErr(errOut)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code, hint := diagnose(err)
	fmt.Fprintf(errOut, "ctview-exporter: %s\n", model.Escape(err.Error()))
	if hint != "" {
		fmt.Fprintf(errOut, "hint: %s\n", model.Escape(hint))
	}
	return code
}

func command(errOut io.Writer) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "ctview-exporter",
		Short: "conntrack of this machine for Prometheus and IPFIX collectors",
		Long: `ctview-exporter tells Prometheus what conntrack does: flows by state, protocol, zone and helper, the table and its limit, the kernel's
counters, events and what was lost of them, NOTRACK rules. It sends an IPFIX collector a record of each flow. It changes nothing in the kernel. docs/fleet.md tells the rest.`,
		Args:                  noArgs,
		SilenceErrors:         true,
		SilenceUsage:          true,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.version {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "ctview-exporter %s\n", version())
				return err
			}
			return run(cmd.Context(), &o, newLog(errOut))
		},
	}
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.SetHelpCommand(&cobra.Command{Hidden: true})
	f := cmd.Flags()
	f.StringArrayVar(&o.netns, "netns", nil, "network namespace: `NAME`, PID or PATH; may be repeated (default: its own)")
	f.StringArrayVar(&o.listen, "listen", []string{defaultListen}, "where Prometheus asks: `ADDRESS:PORT`; may be repeated")
	f.StringVar(&o.webConfig, "web-config", "", "`FILE` with TLS, users and headers, as all exporters have it (exporter-toolkit)")
	f.IntVar(&o.labels, "labels", 20, "zones, helpers and rules that are told one by one; the rest is \"other\": `N`")
	f.StringVar(&o.ipfix, "ipfix", "", "send a record of each flow that ends to the IPFIX collector at `HOST:PORT`; without --listen nothing listens")
	f.Var((*interval)(&o.active), "active", "send a record of each flow that goes on, too, every `DURATION`: 60s, 5m (--ipfix)")
	f.StringVar(&o.ipfixProto, "ipfix-proto", "udp", "how: `udp` or tcp")
	f.Uint32Var(&o.ipfixPEN, "ipfix-pen", ipfix.Examples, "enterprise number of status and state in IPFIX records: `N`")
	f.BoolVarP(&o.version, "version", "V", false, "print the version")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err.Error(), helpHint} })
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return o.check(cmd.Flags()) }
	return cmd
}

// minActive is the least --active.
const minActive = time.Second

// An interval is the value of --active.
type interval time.Duration

func (i *interval) Set(s string) error {
	d, err := filter.ParseDuration(s)
	switch {
	case err != nil:
		return err
	case d < minActive:
		return fmt.Errorf("is less than %v", minActive)
	}
	*i = interval(d)
	return nil
}

func (i *interval) String() string {
	if *i == 0 {
		return ""
	}
	return time.Duration(*i).String()
}

func (i *interval) Type() string { return "duration" }

const helpHint = `"ctview-exporter --help" lists its options`

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Sprintf("unexpected %q", args[0]), helpHint}
	}
	return nil
}

// check refuses what cannot be meant.
func (o *options) check(f *pflag.FlagSet) (err error) {
	f.Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if all, ok := f.Value.(pflag.SliceValue); ok {
			values = all.GetSlice()
		}
		for _, v := range values {
			if v == "" {
				err = usageError{"--" + f.Name + ": the value is empty", "leave --" + f.Name + " out if it is not meant; an unset variable in a script?"}
			}
		}
	})
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, n := range o.netns {
		if seen[n] {
			return usageError{fmt.Sprintf("--netns: %q is named twice", n), "name each namespace once"}
		}
		seen[n] = true
	}
	if o.ipfix != "" {
		host, port, err := net.SplitHostPort(o.ipfix)
		if _, bad := net.LookupPort(o.ipfixProto, port); err != nil || bad != nil && o.ipfixProto != "" || host == "" || port == "" {
			return usageError{fmt.Sprintf("--ipfix: %q is no HOST:PORT", o.ipfix), "such as 192.0.2.1:4739 or [2001:db8::1]:4739"}
		}
		if !f.Changed("listen") {
			o.listen = nil
		}
	}
	if f.Changed("active") && o.ipfix == "" {
		return usageError{"--active: there is no collector that records go to", "--ipfix HOST:PORT"}
	}
	if o.ipfixProto != "udp" && o.ipfixProto != "tcp" {
		return usageError{fmt.Sprintf("--ipfix-proto: %q is neither udp nor tcp", o.ipfixProto), "udp unless the collector listens on TCP"}
	}
	if o.ipfixPEN == 0 {
		return usageError{"--ipfix-pen: 0 is nobody's number", "the number that IANA gave to you, or leave it out"}
	}
	for _, l := range o.listen {
		_, port, err := net.SplitHostPort(l)
		if _, bad := net.LookupPort("tcp", port); err != nil || bad != nil || port == "" {
			return usageError{fmt.Sprintf("--listen: %q is no ADDRESS:PORT", l), "such as 127.0.0.1:10967 or [::1]:10967; \":10967\" is every address"}
		}
	}
	if o.labels < 1 || o.labels > maxLabels {
		return usageError{fmt.Sprintf("--labels: %d is out of range", o.labels), fmt.Sprintf("1 to %d: each is a time series that somebody has to store", maxLabels)}
	}
	if o.webConfig != "" {
		if err := web.Validate(o.webConfig); err != nil {
			return usageError{"--web-config: " + err.Error(), "github.com/prometheus/exporter-toolkit, docs/web-configuration.md, tells what may stand there"}
		}
	}
	if len(o.netns) == 0 {
		o.netns = []string{""}
	}
	return nil
}

// newLog returns the log on stderr; the time is the journal's to add.
func newLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// run serves until ctx ends.
func run(ctx context.Context, o *options, log *slog.Logger) error {
	o.begin(log)
	s, err := listen(o, log)
	if err != nil {
		return err
	}
	c := newCollector(o.labels)
	var open []*watching
	for _, spec := range o.netns {
		n := newNamespace(spec, log)
		n.ends, n.active = o.ipfix != "", o.active
		w, err := n.open()
		if err != nil {
			for _, w := range open {
				err = errors.Join(err, w.close())
			}
			return errors.Join(err, s.close())
		}
		c.namespaces, open = append(c.namespaces, n), append(open, w)
	}
	o.seal(open, log)
	group, ctx := errgroup.WithContext(ctx)
	for i, n := range c.namespaces {
		w := open[i]
		group.Go(func() error {
			defer crash.Guard()
			n.run(ctx, w)
			return nil
		})
		if o.ipfix != "" {
			out := newSender(n, uint32(i+1), o, n.log)
			c.senders = append(c.senders, out)
			group.Go(func() error {
				defer crash.Guard()
				out.run(ctx)
				return nil
			})
		}
	}
	if len(o.listen) > 0 {
		group.Go(func() error {
			defer crash.Guard()
			return s.serve(ctx, c)
		})
	}
	return group.Wait()
}

// diagnose returns the exit code of err and what the user can do about it.
func diagnose(err error) (code int, hint string) {
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage, usage.cure
	case errors.Is(err, ctnl.ErrPermission):
		return exitPermission, "it needs CAP_NET_ADMIN, and CAP_SYS_ADMIN for --netns: as root, or by the unit that comes with it (netns.conf)"
	case errors.Is(err, ctnl.ErrNoConntrack):
		return exitNoConntrack, "modprobe nf_conntrack_netlink"
	case errors.Is(err, ctnl.ErrNoNetns):
		return exitUsage, `"ip netns list" names the namespaces; a PID or a path such as /proc/PID/ns/net works too`
	case errors.As(err, new(*net.OpError)):
		return exitFailed, "another program may listen there, or the address be none of this machine's: --listen"
	}
	return exitKernel, ""
}

// release is what "make dist" builds: version and commit (-X).
var release string

func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "(unknown)"
}
