# Everything goes through here; CI calls the same targets.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help setup build check test tools servers lint inspect pictures faults demo bench

RELEASE := target/release
TOOLS := target/tools
SERVERS := target/servers
MAKE_QUIETLY := $(MAKE) --no-print-directory
export CARGO_TERM_COLOR ?= auto

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Install what is missing: system packages (says so before it uses root), run-time files; GPU=1: those for CUDA too
	@scripts/setup-rust
	@scripts/setup-system
	@scripts/setup-runtime $(RELEASE)/runtime
	@$(if $(GPU),scripts/setup-runtime $(RELEASE)/runtime gpu)

build: setup ## Build the release binary and what it needs to run from any folder; GPU=1: with CUDA (docs/gpu.md)
	cargo build --release --locked -p spillway $(if $(GPU),--features gpu)
	@echo "built $(RELEASE)/spillway"

check: setup ## Formatting, lints, docs, dependencies' licences, unused dependencies, spelling
	@$(MAKE_QUIETLY) -j3 tools lint
	@$(MAKE_QUIETLY) inspect

test: setup ## `make check`, then unit, property and integration tests
	@$(MAKE_QUIETLY) -j3 tools servers lint # what is fetched is fetched while others compile
	@$(MAKE_QUIETLY) inspect
	SPILLWAY_RUNTIME="$(CURDIR)/$(RELEASE)/runtime" SPILLWAY_TEST_SERVERS="$(CURDIR)/$(SERVERS)" cargo test --workspace --locked

tools:
	@scripts/setup-tools $(TOOLS)

servers:
	@scripts/setup-system zsh fish # completions are tried in them
	@scripts/setup-servers $(SERVERS)
	@scripts/setup-browser $(SERVERS)/browser

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

inspect:
	$(TOOLS)/bin/cargo-deny --all-features check bans licenses sources
	$(TOOLS)/bin/cargo-machete
	$(TOOLS)/bin/typos

pictures: setup ## Look at the dashboard's pages in every state in a browser, and keep what was seen in target/pictures
	@scripts/setup-browser $(SERVERS)/browser
	SPILLWAY_PICTURES="$(CURDIR)/target/pictures" SPILLWAY_RUNTIME="$(CURDIR)/$(RELEASE)/runtime" \
	  SPILLWAY_TEST_SERVERS="$(CURDIR)/$(SERVERS)" cargo test -p spillway --test it --locked pages_hold -- --nocapture

faults: setup ## Break everything that can break, for an hour and a half; SPILLWAY_FAULTS_SEED makes the same choices again
	@scripts/setup-servers $(SERVERS)
	SPILLWAY_RUNTIME="$(CURDIR)/$(RELEASE)/runtime" SPILLWAY_TEST_SERVERS="$(CURDIR)/$(SERVERS)" \
	  cargo test -p spillway --test faults --locked -- --include-ignored --nocapture --test-threads=1

demo: build ## Make clips of a talk; `make demo VIDEO=path` takes yours
	@scripts/demo "$(VIDEO)"

bench: build ## Measure the pipeline against the bare work, and its paths against bare clients
	@scripts/bench
