# Short names for the common commands; each is one line that can be typed as well.
.PHONY: run serve test full lint docs fmt guests ci

run: ## the README's first run
	cargo run --release -p l9-server -- run researcher "How does L9 resume a run after a crash?" --ingest docs/

serve: ## the server on loopback
	cargo run --release -p l9-server

test: ## everything that must hold before a change lands
	./scripts/test

full: ## also what takes long
	./scripts/test --full

lint: ## formatting and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

docs: ## the crates' documentation
	cargo doc --workspace --no-deps

fmt: ## format everything
	cargo fmt --all

guests: ## rebuild the wasm guests
	./scripts/build-guests.sh

ci: ## what CI runs
	./.ci/run
