# `make help` lists the targets. Nothing here needs more than Go; `make test` also uses a JDK 17, Maven and Python 3.11
# for the real components, and says what it skipped where one of them is missing.

export CGO_ENABLED := 0

GO ?= go

.DEFAULT_GOAL := help
.PHONY: help build demo components test sim powerloss torture mutants race bench fmt lint clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

build: ## build the static binary bin/freshet
	$(GO) build -trimpath -tags minicore_disabled -ldflags='-s -w' -o bin/freshet ./cmd/freshet

demo: build ## index this repository's own documents, edit one, and search them; under a minute, no service needed
	examples/demo.sh

components: ## install the real components that tests start, into the cache directory
	tools/components/install

test: ## install what the tests need and run all of them
	@tools/components/install & \
	$(GO) vet ./... && $(GO) vet -tags synctests ./internal/sim && $(GO) vet -tags long ./internal/torture; vetted=$$?; \
	wait $$! && exit $$vetted # the first time, downloads and the compiler don't wait for each other
	$(GO) run ./internal/testenv/suites

sim: ## run N simulated runs with faults (3000), or one again: SEED=17
	$(GO) vet -tags synctests ./internal/sim
	$(GO) test -tags synctests -count=1 -timeout=24h -v ./internal/sim -runs=$(or $(N),3000) -seed=$(or $(SEED),0)

powerloss: ## cut the power of store directories N times (500)
	FRESHET_POWERLOSS=$(or $(N),500) $(GO) test ./internal/powerloss -run TestPowerLoss -count=1 -v -timeout=60m

KILLS ?= 1000
ZOMBIES ?= 200
WRITERS ?= 50
MOVES ?= 20
SOAK ?= 30m

torture: components ## kill, stop and cut off real processes and brokers for hours: KILLS=1000 ZOMBIES=200 WRITERS=50 MOVES=20 SOAK=30m
	FRESHET_KILLS=$(KILLS) FRESHET_ZOMBIES=$(ZOMBIES) FRESHET_WRITER_KILLS=$(WRITERS) FRESHET_MOVES=$(MOVES) FRESHET_SOAK=$(SOAK) $(GO) test -tags long ./internal/torture -count=1 -v -timeout=24h

mutants: ## break production code on purpose: a test must see each change
	$(GO) test ./internal/mutants -count=1 -v -timeout=30m

race: ## run the tests that need no service, and a few simulations, under the race detector; needs a C compiler
	@command -v $${CC:-cc} >/dev/null || { echo "the race detector needs a C compiler: install one, or name it in CC" >&2; exit 1; }
	CGO_ENABLED=1 $(GO) test -race -timeout=60m ./stream/... ./schemas/... ./statestore/... ./flow/... ./control/... ./sources/... ./operators/... ./sinks/guard/...
	CGO_ENABLED=1 $(GO) test -race -tags synctests -timeout=60m ./internal/sim -runs=$(or $(N),30)

bench: build components ## run the benchmarks
	bench/run.sh

fmt: ## format the Go code
	gofmt -l -w $$(git ls-files -co --exclude-standard '*.go')

lint: ## check the house rules, and run golangci-lint (which takes minutes to build the first time)
	$(GO) vet ./...
	$(GO) test ./internal/lint/...
	$(GO) build -C tools -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	bin/golangci-lint run

clean: ## remove what was built here; the cache of components stays
	rm -rf bin
