# make fuzz: libFuzzer on each target in turn. It starts from the committed corpus and writes what
# it finds to target/fuzz; a failing input is reported by libFuzzer with its path. What one of target session does:
# PDW_INPUT=$PWD/target/fuzz/crash-... cargo test -p pdw-tests --test fuzz_corpus one_input -- --nocapture

FUZZ_TARGETS ?= scanner session carrier spiped noise tls
# For each target.
FUZZ_SECONDS ?= 600
FUZZ_ARGS ?= -timeout=10 -rss_limit_mb=2048 -max_len=4096
FUZZ_HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
# Coverage for libFuzzer on a stable compiler; with a target named, build scripts go without.
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares
FUZZ_BUILT := target/fuzz/build/$(FUZZ_HOST)/release

.PHONY: fuzz fuzz-build fuzz-merge

fuzz: fuzz-build # each fuzz target for FUZZ_SECONDS (600)
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p target/fuzz/$$target; \
		$(FUZZ_BUILT)/$$target -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 $(FUZZ_ARGS) \
			-artifact_prefix=target/fuzz/ target/fuzz/$$target tests/fuzz/corpus/$$target || exit 1; \
	done

fuzz-build:
	@tests/setup/install.sh fuzz
	@RUSTFLAGS="$(FUZZ_FLAGS)" cargo build --quiet --release --target $(FUZZ_HOST) \
		--manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz/build

fuzz-merge: fuzz-build # adds to the committed corpus what reaches new code
	@for target in $(FUZZ_TARGETS); do \
		$(FUZZ_BUILT)/$$target -merge=1 $(FUZZ_ARGS) tests/fuzz/corpus/$$target target/fuzz/$$target || exit 1; \
	done
