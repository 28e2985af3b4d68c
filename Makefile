# make run serves, make test tests; make alone lists the rest.

# Further arguments of `make run` and `make test`.
RUN_ARGS ?= --leaves 2 --spines 2
TEST_ARGS ?=
# Of `make matrix`: which suites, seals and numbers of levels; without any, all of them, and docs/matrix.md is written.
MATRIX_ARGS ?=
PREFIX ?= /usr/local

PROXY := target/release/pdw-proxy
# Some tests start proxies with deliberate faults in them.
WITH_FAULTS := --workspace --features pdw-proxy/mutants
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)
CARGO_DENY := $(shell command -v cargo-deny)
# A proxy started by make ends with make, however make ends.
TIED := $(if $(shell command -v setpriv),setpriv --pdeathsig TERM)
SHARE := $(DESTDIR)$(PREFIX)/share

.DEFAULT_GOAL := help
.PHONY: help run release test tests matrix lint deny docs install clean

help: # this list
	@awk -F '# ' '/^[a-z-]+:.*# / { split($$1, target, ":"); printf "make %-12s %s\n", target[1], $$2 }' $(MAKEFILE_LIST)

run: # installs what is missing, builds, runs a tree of proxies on 127.0.0.1:6380 and three instances on one screen
	@tests/setup/install.sh run
	@$(MAKE) --no-print-directory release
	@exec $(TIED) $(PROXY) up $(RUN_ARGS)

release: # the optimised binary, target/release/pdw-proxy
	@cargo build --release --locked -p pdw-proxy

test: # installs what is missing; format, lints and all tests
	@tests/setup/install.sh test
	@$(MAKE) --no-print-directory lint tests

tests: export PATH := $(CURDIR)/target/tools:$(PATH):/usr/sbin
tests:
	@cargo build --locked $(WITH_FAULTS) --bins
	@cargo test --quiet --locked --workspace --doc
ifeq ($(NEXTEST),yes)
	@cargo nextest run --locked --no-fail-fast $(WITH_FAULTS) $(TEST_ARGS)
else
	@cargo test --quiet --locked --no-fail-fast $(WITH_FAULTS) --bins --lib --tests $(TEST_ARGS)
endif

matrix: export PATH := $(CURDIR)/target/tools:$(PATH):/usr/sbin
matrix: # the suites through one, two and three levels with every seal on every hop; takes hours
	@tests/setup/install.sh test
	@cargo build --locked $(WITH_FAULTS) --bins
	@target/debug/matrix $(if $(MATRIX_ARGS),$(MATRIX_ARGS),--output docs/matrix.md)

lint: deny # format, clippy and, where it is installed, cargo deny
	@cargo fmt --all --check
	@cargo clippy --quiet --locked --all-targets $(WITH_FAULTS) -- -D warnings

deny:
	@$(if $(CARGO_DENY),cargo deny --locked check,:)

docs: # writes the reference pages anew from the tables in the code
	@PDW_WRITE_DOCS=1 cargo test --quiet -p pdw-metrics reference
	@cargo run --quiet -p pdw-proxy -- reference options > target/configuration.md
	@cargo run --quiet -p pdw-proxy -- reference failures > target/failures.md
	@mv target/configuration.md target/failures.md docs

install: release # the binary, its manual pages and completions, under PREFIX (/usr/local)
	@install -D -m 755 $(PROXY) $(DESTDIR)$(PREFIX)/bin/pdw-proxy
	@install -d $(SHARE)/man/man1 $(SHARE)/bash-completion/completions
	@$(PROXY) man > $(SHARE)/man/man1/pdw-proxy.1
	@for command in serve up check route keygen reference completions man; do \
		$(PROXY) man $$command > $(SHARE)/man/man1/pdw-proxy-$$command.1 || exit 1; done
	@$(PROXY) completions bash > $(SHARE)/bash-completion/completions/pdw-proxy

clean: # removes everything that was built or fetched
	@cargo clean --quiet

# make bench
-include loadtest/bench.mk
# make fuzz
-include tests/fuzz.mk
