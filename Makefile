# Every target is a line that can be typed by hand. `make demo` and `make test` need nothing set up first.

GO      ?= go
FUZZTIME ?= 20s
KERNEL_PACKAGES = qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio depmod:kmod xz:xz-utils setpriv:util-linux
ARCH_PACKAGES = qemu-mips-static:qemu-user-static
PREFIX  ?= /usr/local
# Functions are inlined only in the packages of packaging/hot: 0.6 MB less, and what is hot is as fast.
GCFLAGS = -gcflags=all=-l $(patsubst %,-gcflags=%=,$(shell cat packaging/hot))
# On amd64 functions begin at multiples of 16, as elsewhere, not of 32: 0.1 MB less. At 4 it would be 0.2, and decoding 7 % slower.
LDFLAGS = -s -w $(if $(filter amd64,$(shell $(GO) env GOARCH)),-funcalign=16)
COMPLETIONS = bash:bash-completion/completions/ctview zsh:zsh/site-functions/_ctview fish:fish/vendor_completions.d/ctview.fish
PACKAGES = mandoc:mandoc conntrack:conntrack nft:nftables iptables:iptables ip:iproute2 tmux:tmux promtool:prometheus systemd-analyze:systemd rsyslogd:rsyslog nfcapd:nfdump nfacctd:pmacct clickhouse-client:clickhouse-client clickhouse-server:clickhouse-server

.PHONY: build demo test test-kernels test-arch deps race fuzz soak bench film gobench lint cover dist test-packages size small install uninstall clean

build: ## the program, ./ctview
	CGO_ENABLED=0 $(GO) build -trimpath $(GCFLAGS) -ldflags='$(LDFLAGS)' -o ctview ./cmd/ctview

demo: build ## the real TUI on a private lab of real traffic; no root needed
	./ctview demo

test: deps ## everything: unit tests, fuzz seeds, the kernel in private namespaces, the TUI in a pty
	CGO_ENABLED=0 $(GO) test ./...

test-kernels: ## the kernel tests on Debian's kernels 6.1 and 6.12, emulated. RUN=TestX: these alone, PKG=./ctnl, KERNELS=6.12, MEM=160 (MiB)
	@sh .ci/deps $(PACKAGES) $(KERNEL_PACKAGES)
	@RUN='$(RUN)' KERNELS='$(KERNELS)' MEM='$(MEM)' sh .ci/kernels $(PKG)

test-arch: ## the tests without a kernel of their own on mips (big endian, 32 bit), s390x and arm, emulated. RUN=TestX, ARCHS=mips
	@sh .ci/deps $(ARCH_PACKAGES)
	@RUN='$(RUN)' ARCHS='$(ARCHS)' sh .ci/arch

deps: ## the tools that the tests compare with; installs them where it can, and says so
	@sh .ci/deps $(PACKAGES)

race: ## every test under the race detector, which needs a C compiler
	@sh .ci/deps $(PACKAGES) 'gcc:gcc libc6-dev'
	@# A program under the detector sleeps for a second before it exits; the tests start it some thousand times.
	GORACE=atexit_sleep_ms=10 $(GO) test -race -timeout 14m ./...

fuzz: ## every fuzz target for FUZZTIME, with its executions. FUZZ=View: those with that in their name
	@sh .ci/fuzz $(FUZZTIME) $(FUZZ)

soak: ## the screen, events and record over a churning lab with faults, for FOR (1h); SEED=7: the same order of faults again
	CGO_ENABLED=0 SOAK_FOR=$(or $(FOR),1h) SOAK_SEED=$(SEED) $(GO) test -tags soak -count=1 -timeout 0 -v -run '^TestSoak$$' ./cmd/ctview

bench: build ## the figures of docs/performance.md, beside the peers that are installed; as root. QUICK=1: one minute, 4M=1: up to 4M flows
	$(GO) build -o .cache/bench ./cmd/ctview/bench
	.cache/bench $(if $(QUICK),-quick) $(if $(4M),-4m) $(BENCHFLAGS)

film: build ## docs/ctview.svg, the moving picture of the README, from the real program; on a quiet machine
	$(GO) run ./cmd/ctview/film ./ctview docs/ctview.svg

gobench: ## the Go benchmarks: decode, apply, view, filter, group, format
	$(GO) test -run='^$$' -bench=. -benchmem ./model/... ./ctnl ./tui

lint: ## gofmt, vet, staticcheck (pinned in go.mod), and that the Go which go.mod asks for builds it
	@out=$$(gofmt -l .); test -z "$$out" || { echo "not gofmt-ed:"; echo "$$out"; exit 1; }
	$(GO) vet -tags kernels,soak ./...
	$(GO) build -tags small -o /dev/null ./cmd/ctview
	@old=go$$($(GO) list -m -f '{{.GoVersion}}'); echo "build with $$old"; \
	if GOTOOLCHAIN=$$old $(GO) version >/dev/null 2>&1; then GOTOOLCHAIN=$$old $(GO) build -o /dev/null ./cmd/ctview; \
	else echo "NOT built with $$old: it could not be had"; fi
	$(GO) tool staticcheck ./...

cover: deps ## coverage of the tests, in cover.out
	$(GO) test -coverprofile=cover.out ./...
	$(GO) tool cover -func=cover.out | tail -1

dist: ## the release in dist/: static binaries of every target, packages, checksums, SBOM. TARGETS="amd64 mips": these alone
	@sh packaging/dist.sh $(TARGETS)

test-packages: ## installs, runs, upgrades and removes the packages in roots of their own; as root
	@sh .ci/deps debootstrap:debootstrap rpm:rpm mandoc:mandoc
	@sh .ci/packages

size: ## what the program weighs on every target, whole and with -tags small; writes it into docs/install.md, too
	@sh packaging/size.sh docs/install.md

small: ## ./ctview without demo and GeoIP, for routers with little flash
	CGO_ENABLED=0 $(GO) build -tags small -trimpath $(GCFLAGS) -ldflags='$(LDFLAGS)' -o ctview ./cmd/ctview

install: build ## the program, its manual and completions below PREFIX (and DESTDIR)
	install -D -m 755 ctview $(DESTDIR)$(PREFIX)/bin/ctview
	for p in packaging/man/*; do install -D -m 644 $$p $(DESTDIR)$(PREFIX)/share/man/man$${p##*.}/$${p##*/} || exit; done
	for c in $(COMPLETIONS); do install -d $(DESTDIR)$(PREFIX)/share/$$(dirname $${c#*:}) && \
		./ctview completion $${c%%:*} >$(DESTDIR)$(PREFIX)/share/$${c#*:} || exit; done
	install -D -m 644 packaging/sysctl.conf $(DESTDIR)$(PREFIX)/share/doc/ctview/examples/90-ctview.conf

uninstall: ## what install put there
	for p in packaging/man/*; do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${p##*.}/$${p##*/}; done
	for c in $(COMPLETIONS); do rm -f $(DESTDIR)$(PREFIX)/share/$${c#*:}; done
	rm -rf $(DESTDIR)$(PREFIX)/bin/ctview $(DESTDIR)$(PREFIX)/share/doc/ctview

clean:
	rm -rf ctview dist cover.out
