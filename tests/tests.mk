# Tests, fuzzing and benchmarks: included by the Makefile.

# These start no threads, so that the thread sanitizer has nothing to say about them. unit.h sees to it that it stays true.
UNTHREADED_TESTS := allocation attention backend bench budget block_matrix block_types bpe chat chat_find chat_tokens compute config_splice cpu \
  directory dtype dual_scale encode_blocks eval_thresholds gguf_config gguf_file graph literal_ranges load \
  load_weight long_context matmul model_config normalizer open_device options panel_shares prepared_bytes \
  presentation pretokenizer processors quantize_kernels recipe reference_forward roles rope rowwise rule \
  run_parts safetensors sampler selection source stop_text text_input text_statistics text_stream token_table \
  tokenizer_files tokenizer_golden
ifeq ($(SAN),thread)
TEST_SOURCES := $(filter-out $(UNTHREADED_TESTS:%=tests/unit/test_%.c),$(TEST_SOURCES))
endif
UNIT_PROGRAMS := $(TEST_SOURCES:%.c=$(BUILD)/%)
TOOL_SOURCES  := $(sort $(wildcard tests/tools/*.c))
TOOL_PROGRAMS := $(TOOL_SOURCES:%.c=$(BUILD)/%)
BENCH_PROGRAM := $(BUILD)/tests/bench/bench_quantize
QUALITY_PROGRAM := $(BUILD)/tests/bench/quality
QUALITY_DRAWING := $(BUILD)/tests/bench/draw_quality
TEXTS         ?= $(foreach text,books wiki c4,$(wildcard $(SHARED_DATA)/text/$(text).txt))
BENCH_KERNELS := $(BUILD)/tests/bench/bench_kernels
BENCH_TOKENIZER := $(BUILD)/tests/bench/bench_tokenizer
INTEROP       := $(BUILD)/tests/interop/interop
FUZZ_SECONDS  ?= 600
SHARED_DATA   ?= $(abspath ../shared)
CHECK_LIBS    := -lcheck -lsubunit -lrt -lpthread
EXAMPLE       := tests/data/classics-3m

# Forked tests do not go together with OpenMP and the sanitizers.
export CK_FORK ?= no
# As the program sets it for itself: threads that wait do not spin for long.
export GOMP_SPINCOUNT ?= 2000
export SINQ_SHARED := $(SHARED_DATA)
export SINQ_PROGRAM := $(abspath $(PROGRAM))
export SINQ_TOOLS := $(abspath $(BUILD)/tests/tools)
export SINQ_EXAMPLE := $(abspath $(EXAMPLE))

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(STATIC)
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) $(SANFLAGS) -o $@ $< $(STATIC) $(CHECK_LIBS) $(LIBS)

$(BUILD)/tests/tools/%: $(BUILD)/tests/tools/%.o
	$(Q)$(CC) $(SANFLAGS) -o $@ $< -fopenmp -lm

$(BENCH_PROGRAM) $(BENCH_KERNELS) $(BENCH_TOKENIZER) $(QUALITY_PROGRAM): %: %.o $(STATIC)
	$(Q)$(CC) $(SANFLAGS) -o $@ $< $(STATIC) $(LIBS)

$(QUALITY_DRAWING): $(QUALITY_DRAWING).o $(filter %/canvas.o %/font.o %/memory.o,$(CMD_OBJECTS)) $(STATIC)
	$(Q)$(CC) $(SANFLAGS) -o $@ $^ $(LIBS) -lpng

$(INTEROP): $(BUILD)/tests/interop/interop.o $(BUILD)/tests/interop/llama.o $(STATIC)
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) $(SANFLAGS) -o $@ $^ $(LIBS) -ldl

.SECONDARY: $(UNIT_PROGRAMS:=.o) $(TOOL_PROGRAMS:=.o) $(BENCH_PROGRAM).o $(BENCH_KERNELS).o $(BENCH_TOKENIZER).o $(QUALITY_PROGRAM).o $(QUALITY_DRAWING).o

.PHONY: check-arm64 check-avx2-vnni check-build check-unit check-cli check-demo check-determinism check-memory check-kill check-slow check-fuzz-replay
check: packages
	+@$(TOGETHER) check-build
	+@$(TOGETHER) check-unit
	@$(MAKE) --no-print-directory check-fuzz-replay check-cli check-demo check-determinism
	@echo "check: all passed"

# As many jobs as there are processors, unless make was told how many; what each prints stays together.
JOBS     ?= $(shell nproc 2>/dev/null || echo 1)
TOGETHER  = $(MAKE) --no-print-directory $(if $(findstring --jobserver,$(MAKEFLAGS)),,-j$(JOBS)) --output-sync=target
export SINQ_JOBS := $(JOBS)

# Sanitizers run nothing of the shared library.
check-build: $(if $(SAN),$(PROGRAM),all) $(UNIT_PROGRAMS) $(TOOL_PROGRAMS)

UNIT_RUNS := $(UNIT_PROGRAMS:%=run/%)
.PHONY: $(UNIT_RUNS)
$(UNIT_RUNS): run/%: %
	@$(if $(filter $(UNTHREADED_TESTS:%=test_%),$(@F)),SINQ_UNTHREADED=yes) $(RUN) $<

check-unit: $(UNIT_RUNS)

# Our GGUF files in llama.cpp: installed by npm where it is not there.
.PHONY: check-interop
check-interop: $(PROGRAM) $(INTEROP)
	@SINQ_INTEROP=$(abspath $(INTEROP)) sh tests/interop/run.sh

check-cli: $(PROGRAM) $(TOOL_PROGRAMS)
	@sh tests/cli/run.sh

# What the README promises of `make` and of `make demo`, but for what the latter prints.
check-demo: $(PROGRAM)
	@test "$(.DEFAULT_GOAL)" = all || { echo "make alone makes $(.DEFAULT_GOAL) instead of all" >&2; exit 1; }
	@output=$$(sh tests/demo.sh 2>&1) || { echo "$$output"; exit 1; }
	@echo "demo: runs through"

check-determinism: $(PROGRAM) $(TOOL_PROGRAMS)
	@sh tests/slow/determinism.sh

check-memory: $(PROGRAM) $(TOOL_PROGRAMS)
	@sh tests/slow/memory.sh

check-kill: $(PROGRAM) $(TOOL_PROGRAMS)
	@sh tests/slow/kill.sh

# ---- instruction sets that this machine may not have ----

ARM64_CC    ?= aarch64-linux-gnu-gcc
ARM64_BUILD := build/aarch64
ARM64_TESTS := $(addprefix $(ARM64_BUILD)/tests/unit/test_,cpu matmul attention rowwise quantize_kernels)
ARM64_MAKE  := $(MAKE) --no-print-directory CC=$(ARM64_CC) ARCH=aarch64 BUILD=$(ARM64_BUILD)
ARM64_PACKAGES := gcc-aarch64-linux-gnu qemu-user $(addsuffix :arm64,libgomp1 libcjson-dev libxxhash-dev libpcre2-dev \
                  libutf8proc-dev zlib1g-dev libpng-dev libedit-dev check)
ARM64_LIBS    := -fopenmp -lcjson -lxxhash -lpcre2-8 -lutf8proc -lz -lpng -ledit -lcheck

# Cross-built, with Debian's compiler and libraries, and run under qemu's emulation of a processor. A probe tells whether all are there.
check-arm64: $(PROGRAM) $(TOOL_PROGRAMS)
	+@mkdir -p $(ARM64_BUILD); if ! command -v $(ARM64_CC) >/dev/null || ! command -v qemu-aarch64 >/dev/null || \
	    ! echo 'int main(void) { return 0; }' | $(ARM64_CC) -x c - -o $(ARM64_BUILD)/probe -Wl,--no-as-needed $(ARM64_LIBS) || \
	    ! env -u QEMU_LD_PREFIX qemu-aarch64 $(ARM64_BUILD)/probe; then \
	  echo "SKIPPED: check-arm64 needs: dpkg --add-architecture arm64 && apt-get update && apt-get install $(ARM64_PACKAGES)"; \
	else \
	  $(ARM64_MAKE) $(ARM64_BUILD)/sinq $(ARM64_TESTS) && sh tests/slow/arm64.sh $(ARM64_BUILD) $(ARM64_TESTS); \
	fi

# AVX-VNNI's table, on machines that have AVX-512 VNNI but not AVX-VNNI: AVX-512's form of the same instruction is put in its place.
EVEX_BUILD   := $(BUILD)/evex
EVEX_OBJECTS := $(addprefix $(EVEX_BUILD)/,compute_avx2vnni.o byte_levels_avx2vnni.o limits_avx2vnni.o x86_features.o)
EVEX_TESTS   := $(addprefix $(EVEX_BUILD)/test_,matmul attention rowwise limits)
$(EVEX_BUILD)/%.o: lib/kernels/%.c
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC      $< for AVX-512")
	$(Q)$(CC) $(CPPFLAGS) -DSINQ_AVX2_VNNI_BY_AVX512 $(ALL_CFLAGS) $(ISA) -MMD -MP -c -o $@ $<
$(EVEX_BUILD)/%_avx2vnni.o: ISA := -mavx2 -mf16c -mfma -mavx512vl -mavx512vnni
$(EVEX_TESTS): $(EVEX_BUILD)/%: $(BUILD)/tests/unit/%.o $(EVEX_OBJECTS) $(STATIC)
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) $(SANFLAGS) -o $@ $^ $(CHECK_LIBS) $(LIBS)

check-avx2-vnni: $(EVEX_TESTS)
	@for program in $^; do SINQ_CPU=avx2-vnni $$program || exit 1; done

check-all: check
	@$(MAKE) --no-print-directory check-slow
	@echo "check-all: all passed"

# All that check leaves out. Under the thread sanitizer one instruction set shows all that threads share.
check-slow:
	@$(MAKE) --no-print-directory check-kill check-memory
	@$(MAKE) --no-print-directory check-avx2-vnni
	+@$(TOGETHER) SAN=address,undefined check-build
	+@$(TOGETHER) SAN=address,undefined check-unit
	@$(MAKE) --no-print-directory SAN=address,undefined check-cli check-fuzz-replay
	+@$(TOGETHER) SAN=thread check-build
	+@$(TOGETHER) SAN=thread check-unit
	@SINQ_CPU_LEVELS=native $(MAKE) --no-print-directory SAN=thread check-determinism
	@echo "check-slow: all passed"

demo: packages
	@$(MAKE) --no-print-directory all
	@sh tests/demo.sh

bench-quantize: $(PROGRAM) $(BENCH_PROGRAM) $(TOOL_PROGRAMS)
	@$(BENCH_PROGRAM)
	@sh tests/bench/bench_quantize.sh

quality: $(PROGRAM) $(QUALITY_PROGRAM) $(QUALITY_DRAWING)
	@MODEL='$(MODEL)' TWIN='$(TWIN)' TEXTS='$(TEXTS)' WINDOWS='$(WINDOWS)' SHARED_DATA='$(SHARED_DATA)' \
	  sh tests/bench/quality.sh $(PROGRAM) $(QUALITY_PROGRAM) $(QUALITY_DRAWING) $(or $(QUALITY_CACHE),$(BUILD)/quality)

# On the real tokenizers of the shared data.
bench-tokenizer: $(BENCH_TOKENIZER)
	@$(BENCH_TOKENIZER) $(sort $(wildcard $(SHARED_DATA)/tokenizers/*/tokenizer.json)) -- \
	  $(addprefix $(SHARED_DATA)/text/,wiki.test.raw calib-c4.txt calib-wiki.txt books.txt)

-include tests/fuzz/fuzz.mk
-include $(EVEX_OBJECTS:.o=.d) $(TEST_SOURCES:%.c=$(BUILD)/%.d) $(TOOL_SOURCES:%.c=$(BUILD)/%.d) $(BENCH_PROGRAM).d $(QUALITY_PROGRAM).d $(QUALITY_DRAWING).d $(BENCH_KERNELS).d $(BENCH_TOKENIZER).d
