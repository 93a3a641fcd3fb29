# make run   the barrage wall, on this machine        make test   everything that proves sluice works
# make web   rebuild the pages (needs Node)            make bench  how fast, beside bare limits and peers
# make codes the activation codes, coupons and gifts
# make lint  format, vet, staticcheck, arrows          make soak   10,000 sockets, kills, long runs
# make chat  the chat for AWS, on this machine        make tencent-chat  the one for Tencent

LISTEN ?= 0.0.0.0:8080
ADMIN  ?= 127.0.0.1:4566
GO     ?= go
export CGO_ENABLED ?= 0

.PHONY: run chat codes test race build tools lint web bench soak fuzz clean

run: build
	@bin/sluice dev apps/barrage --listen $(LISTEN) --admin $(ADMIN) --qr /player/

chat: build
	@bin/sluice dev apps/chat --listen $(LISTEN) --admin $(ADMIN) --qr /

tencent-chat: build
	@bin/sluice dev apps/tencent-chat --listen $(LISTEN) --admin $(ADMIN) --qr /

codes: build
	@bin/sluice dev apps/codes --listen $(LISTEN) --admin $(ADMIN)

build: go.sum
	@command -v $(GO) >/dev/null || { echo "sluice needs Go 1.26 or newer: https://go.dev/dl"; exit 1; }
	@$(GO) build -trimpath -ldflags "-s -w" -o bin/sluice ./cmd/sluice

# The race detector needs a C compiler.
race:
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...

# What the tests need beyond Go. Debian and Ubuntu install it; elsewhere it is named.
tools:
	@.ci/tools

test: tools build lint
	$(GO) test -timeout 20m ./...
	cd apps/barrage && $(GO) vet ./... && $(GO) test ./...
	cd apps/codes && $(GO) vet ./... && $(GO) test ./...
	cd apps/chat && $(GO) vet ./... && $(GO) test ./...
	cd apps/tencent-chat && $(GO) vet ./... && $(GO) test ./...
	@for d in e2e/testdata/*/; do [ ! -f $$d/package.json ] || (cd $$d && npm ci --no-audit --no-fund --silent); done
	@.ci/python
	cd e2e && $(GO) vet ./... && SIMPLE_CHAT=$$(../.ci/sample) $(GO) test -timeout 30m ./...
	cd bench && $(GO) vet ./...

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not formatted:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

web:
	cd apps/barrage/pages && npm ci --no-audit --no-fund && npm run build

# bench takes about 20 minutes; bench-gateway, -functions, -push, -endtoend, -tables and -startup are its areas.
# bench-rows, ten million rows, is left out of it.
bench: build
	cd bench && $(GO) run .

bench-%: build
	cd bench && $(GO) run . -area $*

soak: build
	SLUICE_SOAK=1 $(GO) test -timeout 30m -run Soak -v ./kv/pebble ./table
	cd e2e && SLUICE_SOAK=1 $(GO) test -timeout 60m -run Soak -v ./...

# Ten seconds of every fuzz target.
fuzz:
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz'); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 10s $$p || exit 1; \
	  done; \
	done

clean:
	rm -rf bin apps/*/.sluice e2e/out
