package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ctview/ctnl/lab"
)

// rulesDir is what a package installs for Prometheus and Grafana.
const rulesDir = "../../../packaging/prometheus"

// promtool runs promtool, which "make test" installs.
func promtool(t *testing.T, in string, args ...string) {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Stdin = strings.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(in) != "" && len(out) > 0 {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestPromtool: the exporter's names and help texts are as Prometheus wants them, and so are the rules.
func TestPromtool(t *testing.T) {
	t.Parallel()
	ns := newNS(t)
	fillNS(t, ns, 50)
	r := begin(t, ns, "--listen", defaultListen, "--ipfix", collectorAddr)
	body, _, err := r.get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	promtool(t, body, "check", "metrics")
	promtool(t, "", "check", "rules", rulesDir+"/ctview.rules.yml")
	promtool(t, "", "test", "rules", rulesDir+"/ctview.rules.test.yml")
	rules, err := os.ReadFile(rulesDir + "/ctview.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile(rulesDir + "/ctview.rules.test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)- alert: (\w+)$`).FindAllSubmatch(rules, -1) {
		if !strings.Contains(string(tests), "alertname: "+string(m[1])+"\n") {
			t.Errorf("no test shows that %s fires", m[1])
		}
	}
	knows(t, body, "the rules", string(rules))
}

// knows reports metrics that text names and nobody tells: neither the exporter, whose answer body is, nor a recording rule.
func knows(t *testing.T, body, what, text string) {
	t.Helper()
	for _, name := range regexp.MustCompile(`\b(ctview|process)_[a-z_]+`).FindAllString(text, -1) {
		// Findings and leaks are told once there are any.
		if !strings.Contains(body, "# HELP "+name+" ") && name != "ctview_findings" {
			t.Errorf("%s ask for %s, which the exporter does not tell", what, name)
		}
	}
}

// A prometheusServer is a real Prometheus that scrapes the exporter of a namespace.
type prometheusServer struct {
	ns     *lab.NS
	client *http.Client
}

const prometheusListen = "127.0.0.1:9090"

func startPrometheus(t *testing.T, r *running) *prometheusServer {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs(rulesDir + "/ctview.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := write(t, dir, "prometheus.yml", fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs: [{job_name: ctview, static_configs: [{targets: ['%s']}]}]
`, rules, defaultListen))
	cmd := r.ns.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+dir+"/data", "--web.listen-address="+prometheusListen)
	log, err := os.Create(dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatalf("prometheus (make test installs it): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // what it kept is thrown away
		_ = cmd.Wait()
		if b, _ := os.ReadFile(dir + "/log"); t.Failed() {
			t.Logf("prometheus:\n%s", b)
		}
	})
	return &prometheusServer{r.ns, r.client}
}

// query returns the values of an expression by the labels of each.
func (p *prometheusServer) query(expr string) (map[string]string, error) {
	resp, err := p.client.Get("http://" + prometheusListen + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var a struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return nil, err
	}
	if a.Status != "success" {
		return nil, fmt.Errorf("%s: %s", expr, a.Error)
	}
	m := map[string]string{}
	for _, r := range a.Data.Result {
		m[fmt.Sprint(r.Metric)] = fmt.Sprint(r.Value[1])
	}
	return m, nil
}

// TestPrometheus: a real Prometheus scrapes the exporter; what it stores is what the kernel has, the recording rules have
// values, and every panel of the dashboard asks a question that it understands.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	ns, web := newNS(t), newNS(t)
	fillNS(t, ns, 500)
	r := begin(t, web, "--listen", defaultListen, "--netns", path(ns), "--ipfix", collectorAddr)
	p := startPrometheus(t, r)
	one := func(expr string) string {
		m, err := p.query(expr)
		if err != nil || len(m) != 1 {
			return ""
		}
		for _, v := range m {
			return v
		}
		return ""
	}
	until(t, "Prometheus has scraped", func() bool { return one("ctview_entries") == "500" })
	var sum float64
	for name, n := range kernelsFlows(t, ns, "x") {
		if strings.HasPrefix(name, "ctview_flows{") {
			sum += n
		}
	}
	if got := one("sum(ctview_flows)"); got != fmt.Sprint(sum) {
		t.Errorf("sum(ctview_flows) %s, the kernel has %v", got, sum)
	}
	until(t, "the recording rules have values", func() bool {
		return one("ctview:entries_used:ratio") != "" && one("ctview:kernel_dropped:rate5m") == "0" && one("ctview:tcp_half_open:ratio") != ""
	})
	body, _, err := r.get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, expr := range dashboard(t) {
		knows(t, body, "the dashboard's panels", expr)
		expr = strings.NewReplacer("$instance", ".*", "$netns", ".*", "$__rate_interval", "10s").Replace(expr)
		if _, err := p.query(expr); err != nil {
			t.Errorf("dashboard: %v", err)
		}
	}
}

// dashboard returns the expressions of the Grafana dashboard.
func dashboard(t *testing.T) (all []string) {
	t.Helper()
	b, err := os.ReadFile(rulesDir + "/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatalf("grafana.json: %v", err)
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
		if len(p.Targets) == 0 {
			t.Errorf("panel %q asks nothing", p.Title)
		}
	}
	if len(all) < 10 {
		t.Errorf("%d expressions in the dashboard", len(all))
	}
	return all
}
