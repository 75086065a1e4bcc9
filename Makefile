# `make help` lists the targets. Needed: Go, make, and for the tests Node with npm; `make test-tools` installs the rest.

export CGO_ENABLED ?= 0
export GOFLAGS := -tags=nobadger,nomysql,nopgx

GO_BUILD := go build -trimpath -ldflags "-s -w"
RACE     := CGO_ENABLED=1 go test -race
TOOLS    := $(CURDIR)/bin/tools

ALL_ENGINES   := chromium,firefox,webkit
GOLANGCI_LINT := v2.15.0

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/caddy, with the embedded user pool, and bin/legacy
	$(GO_BUILD) -o bin/caddy ./cmd/caddy
	$(GO_BUILD) -o bin/legacy ./examples/legacy

.PHONY: triggers
triggers: ## build the Lambdas, dist/<trigger>-<arch>.zip, the same byte for byte everywhere
	go run ./internal/zipper

.PHONY: run
run: build ## start portal, guard, embedded user pool and legacy application on this machine
	@.ci/run-example

.PHONY: test-tools
test-tools: ## install Chromium, fonts, gcc, Java and DynamoDB Local where they are missing
	@.ci/install-test-tools

.PHONY: test
test: test-tools build ## run all tests, race detector and real browser included
	$(RACE) -timeout 15m ./...
	cd bench && $(RACE) ./...
	cd e2e && $(RACE) -parallel 3 -timeout 15m ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME, 10s, each
	@.ci/fuzz

.PHONY: mutants
mutants: ## change the security packages in one place after another and list what no test notices; takes hours, or PACKAGES=./internal/token
	go run ./internal/mutants $(or $(PACKAGES),./internal/challenge ./internal/token ./internal/session ./passkey ./triggers/verify)
	$(if $(PACKAGES),,go run ./internal/mutants -files '^(guard|portal)' ./caddyauth)

.PHONY: test-traefik
test-traefik: test-tools build ## build the whole of Traefik, which takes minutes the first time, and test forward auth behind it
	cd e2e && go run ./traefik
	cd e2e && $(RACE) -tags traefik -count=1 -run '^TestTraefik' -timeout 10m .

.PHONY: test-engines
test-engines: build ## install and test Chromium, Firefox and WebKit; ENGINES='firefox' or ENGINES_RUN='SignInByLink' chooses some
	@.ci/install-test-tools engines
	cd e2e && go test -count=1 -parallel 3 -timeout 20m -run '^TestEngines$(ENGINES_RUN)' . -args \
		-engines '$(or $(ENGINES),$(ALL_ENGINES))' -screens $(CURDIR)/bin/screens

.PHONY: test-zoo
test-zoo: test-tools build ## install real applications and test the recipes with them; ZOO='dokuwiki|radicale' chooses some
	cd zoo && go test -count=1 -timeout 90m . -args -only '$(ZOO)' $(if $(ZOO),,-tested $(CURDIR)/docs/recipes/tested.md)

.PHONY: screens
screens: test-tools build ## take pictures of every page, light and dark, phone and desktop, into bin/screens
	cd e2e && go test -count=1 -run '^Test(Screens|StepUp|Accessible|CodeOfTheMail|RememberedPeople|Forbidden|FormO|Inbox|Upstream|PasskeySuggestion|LinkForAnother)' -screens $(CURDIR)/bin/screens -timeout 10m .

.PHONY: bench
bench: ## run the benchmarks; prints a table and writes bin/bench.json
	@mkdir -p bin
	cd bench && go run . -root .. -out ../bin/bench.json

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## run golangci-lint over every module
	$(TOOLS)/golangci-lint run ./...
	cd e2e && $(TOOLS)/golangci-lint run --build-tags=traefik ./...
	cd bench && $(TOOLS)/golangci-lint run ./...
	cd zoo && $(TOOLS)/golangci-lint run ./...

$(TOOLS)/golangci-lint:
	GOFLAGS= GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)

.PHONY: vulncheck
vulncheck: ## look for known vulnerabilities in what the builds reach
	@.ci/vulncheck

.PHONY: adapt
adapt: build ## adapt and validate Caddyfile.example
	bin/caddy adapt --config Caddyfile.example --adapter caddyfile --validate >/dev/null
	bin/caddy fmt --diff Caddyfile.example >/dev/null

.PHONY: clean
clean: ## remove what was built; users and sessions of the example stay in ./data
	rm -rf bin dist
