package notrack

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

	"ctview/ctnl/lab"
	"ctview/model"
	"ctview/model/filter"
)

// asHolder, set to a backend, makes the test binary be a ctview that installs two rules, says so and waits.
const asHolder = "NOTRACK_TEST_HOLD"

func TestMain(m *testing.M) {
	be := os.Getenv(asHolder)
	if be == "" {
		flag.Parse()
		if f := flag.Lookup("test.fuzz"); f == nil || f.Value.String() == "" {
			_ = flag.Set("test.parallel", fmt.Sprint(max(2, 8/pace))) // they wait for time-outs, not for processors
		}
		os.Exit(lab.Main(m))
	}
	run := holdRules
	if be == "missing" {
		run = sayWhatIsMissing
	}
	if err := run(be); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// held is the life of what a holder does not confirm: on an emulated machine the programs that install it take most of ten seconds.
const held = (2 + 6*(pace-1)) * time.Second

// holdRules installs a rule of the session, confirmed, and one that waits to be confirmed.
func holdRules(be string) error {
	real, isMany := strings.CutPrefix(be, "many ")
	c, err := Open(nil, Options{Backend: real})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if isMany {
		return installMany(c)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	a, err := filter.ParseRule("udp any > any:5001")
	if err != nil {
		return err
	}
	b, err := filter.ParseRule("udp 127.0.0.1:4002 > 127.0.0.1:5002")
	if err != nil {
		return err
	}
	r, err := c.Add(ctx, &Request{Rules: []model.Rule{a}, Keep: model.KeepSession, Trial: held})
	if err != nil {
		return err
	}
	if be == "nftables" { // an iptables rule of a session lives a minute once confirmed
		if err := c.Confirm(ctx, r.ID, nil); err != nil {
			return err
		}
	}
	if _, err := c.Add(ctx, &Request{Rules: []model.Rule{b}, Trial: held}); err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	return nil
}

// TestKilled shows that tracking is back after SIGKILL: at once for the session, at its time for what was not confirmed.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, be := range []string{"nftables", "iptables-nft", "iptables-legacy"} {
		for _, sig := range []os.Signal{os.Kill, os.Interrupt} {
			t.Run(fmt.Sprint(be, " ", sig), func(t *testing.T) {
				t.Parallel()
				ns := testNS(t)
				nftRules(t, ns, ctState)
				cmd := holder(t, ns, be)
				a := traffic(t, ns, ns, "udp4", "127.0.0.1:4001", "127.0.0.1:5001")
				b := traffic(t, ns, ns, "udp4", "127.0.0.1:4002", "127.0.0.1:5002")
				a.exchange(2)
				b.exchange(2)
				if es := append(entries(t, ns, "ipv4", "5001"), entries(t, ns, "ipv4", "5002")...); len(es) != 0 {
					t.Fatalf("tracked: %q", es)
				}
				must(t, cmd.Process.Signal(sig))
				_ = cmd.Wait()
				eventually(t, "tracking is back", func() bool {
					a.exchange(1)
					b.exchange(1)
					return len(entries(t, ns, "ipv4", "5001")) == 1 && len(entries(t, ns, "ipv4", "5002")) == 1
				})
				c := open(t, ns, be)
				if rs, err := c.List(ctx(t)); err != nil || len(rs) != 0 {
					t.Errorf("left: %+v %v", rs, err)
				}
				must(t, c.be.sweep(ctx(t)))
			})
		}
	}
}

// holder starts a ctview that holds rules, and waits until it has them.
func holder(t *testing.T, ns *lab.NS, be string) *lab.Cmd {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	cmd := command(ns, exe)
	cmd.Env = append(os.Environ(), asHolder+"="+be)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		t.Fatalf("holder: %q %v", line, err)
	}
	return cmd
}

// manyOf is how many rules a backend is given at once: iptables takes each back by comparing it with all others.
func manyOf(backend string) int {
	if backend == "nftables" {
		return 2000
	}
	return 200
}

// installMany installs rules again and again, saying so before each time.
func installMany(c *Installer) error {
	var rules []model.Rule
	for i := range manyOf(c.be.name()) {
		r, err := filter.ParseRule(fmt.Sprintf("tcp 10.0.0.1:%d > 10.0.0.2:80", 1000+i))
		if err != nil {
			return err
		}
		rules = append(rules, r)
	}
	fmt.Println("ready")
	for {
		r, err := c.Add(context.Background(), &Request{Rules: rules})
		if err != nil {
			return err
		}
		if err := c.Remove(context.Background(), r.ID); err != nil {
			return err
		}
	}
}

// TestKilledMidway kills a ctview at a random moment while it installs and removes, again and again: what is there then is all of
// it or nothing, is a trial that ends, and can be taken back.
func TestKilledMidway(t *testing.T) {
	t.Parallel()
	for _, be := range []string{"nftables", "iptables-nft", "iptables-legacy"} {
		t.Run(be, func(t *testing.T) {
			t.Parallel()
			some := 0
			for range *rounds {
				ns := testNS(t)
				cmd := holder(t, ns, "many "+be)
				time.Sleep(rand.N(pace * 300 * time.Millisecond)) // to hit different moments
				must(t, cmd.Process.Kill())
				_ = cmd.Wait()
				c := open(t, ns, be)
				rs, err := c.List(ctx(t))
				must(t, err)
				if len(rs) > 1 || len(rs) == 1 && (len(rs[0].Rules) != manyOf(be) || rs[0].Rules[0].OneWay || !rs[0].Limited || !rs[0].Pending) {
					t.Fatalf("half a rule: %d rules, the first with %d, of which it is left %v", len(rs), len(rs[0].Rules), rs[0].Left)
				}
				some += len(rs)
				eventually(t, "all goes", func() bool { // a program that ctview had started may go on after it
					_, err := c.RemoveAll(ctx(t))
					out := tool(t, ns, "nft", "list", "ruleset")
					rs, lerr := c.List(ctx(t))
					return err == nil && lerr == nil && len(rs) == 0 && !strings.Contains(out, "ctview")
				})
				_ = c.Close()
				_ = ns.Close()
			}
			t.Logf("%d of %d had the rule", some, *rounds)
		})
	}
}
