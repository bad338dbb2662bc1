# What people type. Everything here can also be typed by hand; `make help` lists it.

# Where cargo puts what it builds.
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)

# `--workspace` also for one test: the same crates with fewer features would be built once more.

.PHONY: help demo test chaos fuzz sim bench bench-peers lint

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST))

demo: ## Build Tenantry and see it work; MODEL_URL=… MODEL_KEY_FILE=… MODEL=… take a real model
	cargo build --release
	$(TARGET)/release/tenantry demo $(if $(MODEL_URL),--model-url "$(MODEL_URL)") $(if $(MODEL_KEY_FILE),--model-key-file "$(MODEL_KEY_FILE)") $(if $(MODEL),--model "$(MODEL)")

test: ## Install what the tests need (and say what), then run every test
	scripts/test-deps
	scripts/test

chaos: ## Kill the server a hundred times under load, take its power two hundred times, and hold it to its word
	TENANTRY_CHAOS_KILLS=$(or $(KILLS),100) TENANTRY_POWER_CUTS=$(or $(CUTS),200) \
		cargo test --workspace --test suite -- killed_again loss_of_power --nocapture --test-threads 1

fuzz: ## Feed every parser of outside bytes for ten minutes; SECONDS_LONG=… says how long
	TENANTRY_FUZZ_SECONDS=$(or $(SECONDS_LONG),600) cargo test --workspace --test fuzz -- --nocapture

sim: ## Simulate servers and workers with a thousand seeds; SEEDS=… says how many, SEED=… where they begin
	cargo build --package sim
	$(TARGET)/debug/sim --seed $(or $(SEED),1) --seeds $(or $(SEEDS),1000)

bench: ## Measure what Tenantry must reach, beside baselines; ROWS="chat stream" takes some of it
	cargo build --release --package server --package bench
	$(TARGET)/release/bench --program $(TARGET)/release/tenantry $(ROWS)

bench-peers: ## Measure LiteLLM, Portkey and Restate beside Tenantry
	cargo build --release --package server --package bench
	scripts/bench-peers $(TARGET)/release/bench --program $(TARGET)/release/tenantry --json $(TARGET)/bench-peers.json

lint: ## Form, lints, licences and the repository's own rules
	scripts/lint
