# Every target is a line that can be typed by hand. `make demo` and `make test` need nothing set up first.

GO      ?= go
FUZZTIME ?= 20s
PACKAGES = conntrack:conntrack nft:nftables iptables:iptables ip:iproute2 tmux:tmux

.PHONY: build demo test deps race fuzz bench gobench lint cover dist clean

build: ## the program, ./ctview
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o ctview ./cmd/ctview

demo: build ## the real TUI on a private lab of real traffic; no root needed
	./ctview demo

test: deps ## everything: unit tests, fuzz seeds, the kernel in private namespaces, the TUI in a pty
	$(GO) test ./...

deps: ## the tools that the tests compare with; installs them where it can, and says so
	@sh .ci/deps $(PACKAGES)

race: deps ## the tests under the race detector (needs a C compiler)
	$(GO) test -race ./model/... ./ctnl ./tui

fuzz: ## every fuzz target for FUZZTIME
	@sh .ci/fuzz $(FUZZTIME)

bench: build ## the figures of docs/performance.md, beside the peers that are installed; as root. QUICK=1: one minute, 4M=1: up to 4M flows
	$(GO) build -o .cache/bench ./cmd/ctview/bench
	.cache/bench $(if $(QUICK),-quick) $(if $(4M),-4m) $(BENCHFLAGS)

gobench: ## the Go benchmarks: decode, apply, view, filter, group, format
	$(GO) test -run='^$$' -bench=. -benchmem ./model/... ./ctnl ./tui

lint: ## gofmt, vet, staticcheck (pinned in go.mod)
	@out=$$(gofmt -l .); test -z "$$out" || { echo "not gofmt-ed:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

cover: deps ## coverage of the tests, in cover.out
	$(GO) test -coverprofile=cover.out ./...
	$(GO) tool cover -func=cover.out | tail -1

dist: ## release binaries in dist/
	@for a in amd64 arm64 arm mips mipsle riscv64; do \
		echo "dist/ctview-linux-$$a"; \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$a GOMIPS=softfloat $(GO) build -trimpath -ldflags='-s -w' -o dist/ctview-linux-$$a ./cmd/ctview || exit 1; \
	done

clean:
	rm -rf ctview dist cover.out
