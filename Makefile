# What people type. Everything here can also be typed by hand; `make help` lists it.

# Where cargo puts what it builds.
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)

.PHONY: help demo test bench lint

help: ## List these commands
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST))

demo: ## Build Tenantry and see it work: two tenants, one template, real runs
	cargo build --release
	$(TARGET)/release/tenantry demo

test: ## Install what the tests need (and say what), then run every test
	scripts/test-deps
	scripts/test

bench: ## Run the benchmarks
	cargo bench --workspace --bench '*'

lint: ## Form, lints, licences and the repository's own rules
	scripts/lint
