# Two commands do all the set-up: `make demo` and `make test`. `make help` lists the rest.

CARGO ?= cargo
ROUNDS ?= 3
FILES ?= 100000
FUZZ_SECONDS ?= 600
FUZZ_SEEDS ?=

.PHONY: help setup build demo test chaos lint fmt doc bench fuzz cluster-up cluster-stop cluster-down cluster-test clean

help: ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Install what the build needs (a C compiler, protoc), by apt, if it is missing.
	@scripts/setup.sh

build: setup ## Build the release binary, target/release/shardex.
	$(CARGO) build --release --locked -p shardex-cli

demo: build ## Ingest real DICOM files and query them.
	@scripts/demo.sh

test: setup ## Run every test.
	$(CARGO) build --locked -p shardex-cli
	$(CARGO) test --workspace --locked --no-run
	@CARGO=$(CARGO) scripts/test.sh

chaos: ## Break a cluster at random for long (CHAOS_SECONDS=1200 CHAOS_FILES=200000 SHARDEX_TEST_SEED=random; a seed repeats).
	$(CARGO) build --locked -p shardex-cli
	CHAOS_SECONDS=$(or $(CHAOS_SECONDS),1200) CHAOS_FILES=$(or $(CHAOS_FILES),200000) \
		SHARDEX_TEST_SEED=$(or $(SHARDEX_TEST_SEED),random) \
		$(CARGO) test --locked -p shardex-tests --test chaos -- --nocapture

lint: ## Format check and lints, warnings are errors; whether the benchmarks compile.
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) check --manifest-path bench/Cargo.toml --target-dir target --locked

doc: ## API documentation, warnings are errors.
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --workspace --no-deps --locked

fmt: ## Format the code.
	$(CARGO) fmt --all

bench: build ## Compare with peers on generated trees (FILES=100000 ROUNDS=3 BENCH=--help); writes bench/RESULTS.md.
	@python3 bench/run.py --files $(FILES) --rounds $(ROUNDS) $(BENCH)

fuzz: ## Fuzz the reader (FUZZ_SECONDS=600, FUZZ_SEEDS=DIR of DICOM files to begin with).
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz"; exit 1; }
	mkdir -p extract/fuzz/corpus/any_bytes
	RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --fuzz-dir extract/fuzz --sanitizer none any_bytes \
		extract/fuzz/corpus/any_bytes $(FUZZ_SEEDS) -- \
		-max_total_time=$(FUZZ_SECONDS) -max_len=65536 -rss_limit_mb=512 -timeout=10

cluster-up: ## Start a cluster in containers over SHARDEX_DATA (deploy/compose.yaml; needs Docker with Compose).
	@scripts/cluster.sh up

cluster-stop: ## End its processes, keep its volumes; cluster-up goes on.
	@scripts/cluster.sh stop

cluster-down: ## End it and remove its volumes: its index and its state.
	@scripts/cluster.sh down

cluster-test: ## Try deploy/: kill, crash, stop and replace containers (EXTRA=FOLDER of DICOM files besides generated ones).
	@scripts/cluster-test.sh $(EXTRA)

clean: ## Remove what was built.
	$(CARGO) clean
