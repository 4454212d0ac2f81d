package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// TestWebConfig: with exporter-toolkit's configuration nobody gets a word without TLS and the password.
func TestWebConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pool := certificate(t, dir)
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "web.yml", "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {scraper: "+string(hash)+"}\n")
	r := beginAny(t, newNS(t), "--web-config", filepath.Join(dir, "web.yml"))
	r.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool}
	ask := func(scheme, password string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+defaultListen+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			req.SetBasicAuth("scraper", password)
		}
		resp, err := r.client.Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	until(t, "it answers over TLS", func() bool { code, _ := ask("https", "secret"); return code == http.StatusOK })
	for _, tt := range []struct {
		name, scheme, password string
		code                   int
		told                   bool
	}{
		{"password", "https", "secret", http.StatusOK, true},
		{"no password", "https", "", http.StatusUnauthorized, false},
		{"wrong password", "https", "Secret", http.StatusUnauthorized, false},
		{"no TLS", "http", "secret", http.StatusBadRequest, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, body := ask(tt.scheme, tt.password)
			if code != tt.code || strings.Contains(body, "ctview_") != tt.told {
				t.Errorf("code %d, want %d; body %.60q", code, tt.code, body)
			}
		})
	}
}

// certificate writes cert.pem and key.pem for defaultListen's address and returns who trusts it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := net.SplitHostPort(defaultListen)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(host)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, dir, "cert.pem", string(cert))
	write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const ownUp = `ctview_up{netns=""}` // an empty label is none to Prometheus

// TestBadClients: clients that send slowly, send rubbish, read nothing or go away keep nobody else from an answer.
func TestBadClients(t *testing.T) {
	t.Parallel()
	r := begin(t, newNS(t))
	dial := func() net.Conn {
		c, err := r.ns.Dial(t.Context(), "tcp", "", defaultListen)
		if err != nil {
			t.Fatalf("dial: %v", err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	for _, tt := range []struct {
		name, send string
		n          int
	}{
		{"half a head, as many as may connect", "GET /metrics HT", maxConns},
		{"nothing at all", "", maxConns},
		{"rubbish", "\x16\x03\x01\x00\xff\x00\x00\n\n\x1b[31m", 20},
		{"a head without end", "GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 2*maxHead), 5},
		{"a body without end", "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n", 20},
		{"the answer is never read", strings.Repeat("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 10), 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var conns []net.Conn
			for range tt.n {
				c := dial()
				conns = append(conns, c)
				_, _ = c.Write([]byte(tt.send)) // it may be refused already
			}
			r.client.CloseIdleConnections() // a new connection has to stand in the queue as anybody's
			until(t, "an answer all the same", func() bool {
				m, err := r.scrape()
				return err == nil && m[ownUp] == 1
			})
			for _, c := range conns {
				_ = c.Close()
			}
		})
	}
}

// TestManyClients: of a hundred that ask at once each gets a whole answer, or is told to come again.
func TestManyClients(t *testing.T) {
	t.Parallel()
	r := begin(t, newNS(t))
	var (
		wg              sync.WaitGroup
		mu              sync.Mutex
		whole, refused  int
		others          []error
		ctx, cancel     = context.WithTimeout(t.Context(), deadline)
		tooMany, errAny = errors.New("503"), error(nil)
	)
	defer cancel()
	for range 100 {
		wg.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+defaultListen+"/metrics", nil)
			if err == nil {
				err = answered(r.client, req, tooMany)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				whole++
			case errors.Is(err, tooMany):
				refused++
			default:
				others = append(others, err)
			}
		})
	}
	wg.Wait()
	if errAny = errors.Join(others...); errAny != nil || whole == 0 || whole+refused != 100 {
		t.Errorf("%d answers, %d refused, errors: %v", whole, refused, errAny)
	}
	if m := r.must(t); m[ownUp] != 1 {
		t.Error("afterwards the kernel is not asked any more")
	}
}

func answered(client *http.Client, req *http.Request, tooMany error) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case resp.StatusCode == http.StatusServiceUnavailable:
		return tooMany
	case err == nil && (resp.StatusCode != http.StatusOK || !strings.Contains(string(b), "\n"+ownUp+" 1\n")):
		return errors.New(resp.Status + ": " + string(b))
	}
	return err
}
