# make demo   sets up, ingests ten photographs, searches them, serves the page
# make test   sets up and runs the tests
# make check  the tests with the race detector, and the linters
# make model  trains the default model: DATA names its data, see embed/builtin/recipe/run
GO     ?= go
PHOTOS ?= testdata/photos
ADDR   ?= 127.0.0.1:8080
BIN    := bin/clipsearch
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null)

.PHONY: demo test check model lint cross bench bench-go fuzz build runtime clean

build: $(BIN)

# Go itself knows what has changed: it is asked every time.
.PHONY: $(BIN)
$(BIN):
	@command -v $(GO) >/dev/null || { echo "Go 1.26 or newer is needed: https://go.dev/dl"; exit 1; }
	@mkdir -p bin
	$(GO) build -ldflags "-X main.commitID=$(COMMIT)" -o $(BIN) ./cmd/clipsearch

runtime: $(BIN)
	@$(BIN) runtime info >/dev/null 2>&1 || $(BIN) runtime install

demo: runtime
	@$(BIN) demo --index .demo/index --photos "$(PHOTOS)" --addr $(ADDR) $(if $(filter 0,$(DEMO_SERVE)),--no-serve)

test: runtime
	$(GO) test ./...
	$(GO) test -tags nomodel ./cmd/clipsearch ./embed/...

check: lint runtime
	$(GO) test -race -timeout 30m ./...

model: runtime
	@embed/builtin/recipe/run

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt: the files above are not formatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

clean:
	rm -rf bin .demo

# Every fuzz target for FUZZTIME, one after the other. (Go reports an input that
# is under way when the time ends as "context deadline exceeded": run that one
# again.) Their seeds and findings are run by every test.
FUZZTIME ?= 30s
fuzz:
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzzminimizetime 10x -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; \
	done

# The vector index beside hnswlib, faiss and usearch, and against its bars. Some
# fifteen minutes; see bench/run for what can be picked.
bench: runtime
	@bench/run

# What a change of speed of one function is claimed with: two refs, ten runs each,
# benchstat.
bench-go:
	$(GO) test -run '^$$' -bench . -benchmem ./...
