package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"ctview/model/crash"
)

// What a client may take. An answer is some 20 kB and fits the socket's buffer: who reads slowly holds nothing but that.
const (
	headTime   = 2 * time.Second  // for the head of a request
	answerTime = 30 * time.Second // for the whole of it
	idleTime   = 2 * time.Minute
	maxHead    = 16 << 10
	maxConns   = 64 // an address; others wait
	maxAnswers = 4  // in the making at once; others get 503
	endTime    = 3 * time.Second
)

// A server answers Prometheus.
type server struct {
	listeners []net.Listener
	webConfig string
	log       *slog.Logger
}

// listen takes the addresses, so that what is wrong with them is known before anything else begins.
func listen(o *options, log *slog.Logger) (*server, error) {
	s := &server{webConfig: o.webConfig, log: log}
	for _, addr := range o.listen {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() && o.webConfig == "" {
			log.Warn("whoever reaches this address can read what conntrack does here; --web-config asks for a password", "address", l.Addr().String())
		}
		s.listeners = append(s.listeners, netutil.LimitListener(l, maxConns))
	}
	return s, nil
}

func (s *server) close() error {
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// serve answers until ctx ends; then answers that have begun are finished.
func (s *server) serve(ctx context.Context, c *collector) error {
	srv := &http.Server{
		Handler: s.routes(c), ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: headTime, ReadTimeout: answerTime, WriteTimeout: answerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHead,
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range s.listeners {
		group.Go(func() error {
			defer crash.Guard()
			err := web.Serve(l, srv, &web.FlagConfig{WebConfigFile: &s.webConfig}, s.log)
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return err
		})
	}
	group.Go(func() error {
		defer crash.Guard()
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		if srv.Shutdown(end) != nil {
			return srv.Close()
		}
		return nil
	})
	return group.Wait()
}

// routes are the two pages that there are.
func (s *server) routes(c *collector) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics := promhttp.InstrumentMetricHandler(reg, promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelError), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: maxAnswers, EnableOpenMetrics: true,
	}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ctview-exporter " + version() + "\n/metrics is for Prometheus\n")) // a client that is gone is its own affair
	})
	return mux
}
