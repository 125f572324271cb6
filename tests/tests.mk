# Tests, fuzzing and benchmarks: included by the Makefile.

UNIT_PROGRAMS := $(TEST_SOURCES:%.c=$(BUILD)/%)
TOOL_SOURCES  := $(sort $(wildcard tests/tools/*.c))
TOOL_PROGRAMS := $(TOOL_SOURCES:%.c=$(BUILD)/%)
BENCH_PROGRAM := $(BUILD)/tests/bench/bench_quantize
QUALITY_PROGRAM := $(BUILD)/tests/bench/quality
TEXTS         ?= $(wildcard $(addprefix $(SHARED_DATA)/text/,books.txt wiki.txt c4.txt))
BENCH_KERNELS := $(BUILD)/tests/bench/bench_kernels
BENCH_TOKENIZER := $(BUILD)/tests/bench/bench_tokenizer
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
	$(Q)$(CC) $(SANFLAGS) -o $@ $<

$(BENCH_PROGRAM) $(BENCH_KERNELS) $(BENCH_TOKENIZER) $(QUALITY_PROGRAM): %: %.o $(STATIC)
	$(Q)$(CC) $(SANFLAGS) -o $@ $< $(STATIC) $(LIBS)

.SECONDARY: $(UNIT_PROGRAMS:=.o) $(TOOL_PROGRAMS:=.o) $(BENCH_PROGRAM).o $(BENCH_KERNELS).o $(BENCH_TOKENIZER).o $(QUALITY_PROGRAM).o

.PHONY: check-build check-unit check-cli check-determinism check-memory check-kill check-slow check-fuzz-replay
check: packages
	@$(MAKE) --no-print-directory check-build
	@$(MAKE) --no-print-directory check-unit check-fuzz-replay check-cli check-determinism
	@echo "check: all passed"

check-build: all $(UNIT_PROGRAMS) $(TOOL_PROGRAMS)

check-unit: $(UNIT_PROGRAMS)
	@for program in $^; do $(RUN) $$program || exit 1; done

check-cli: $(PROGRAM) $(TOOL_PROGRAMS)
	@sh tests/cli/run.sh

check-determinism: $(PROGRAM) $(TOOL_PROGRAMS)
	@sh tests/slow/determinism.sh

check-memory: $(PROGRAM) $(TOOL_PROGRAMS)
	@sh tests/slow/memory.sh

check-kill: $(PROGRAM) $(TOOL_PROGRAMS)
	@sh tests/slow/kill.sh

check-all: check
	@$(MAKE) --no-print-directory check-slow
	@echo "check-all: all passed"

# All that check leaves out.
check-slow:
	@$(MAKE) --no-print-directory check-kill check-memory
	@$(MAKE) --no-print-directory SAN=address,undefined check-build
	@$(MAKE) --no-print-directory SAN=address,undefined check-unit check-cli check-fuzz-replay
	@$(MAKE) --no-print-directory SAN=thread check-build
	@$(MAKE) --no-print-directory SAN=thread check-unit check-determinism
	@echo "check-slow: all passed"

demo: packages
	@$(MAKE) --no-print-directory all
	@sh tests/demo.sh

bench-quantize: $(PROGRAM) $(BENCH_PROGRAM) $(TOOL_PROGRAMS)
	@$(BENCH_PROGRAM)
	@sh tests/bench/bench_quantize.sh

quality: $(QUALITY_PROGRAM)
	@sh tests/bench/quality.sh $(QUALITY_PROGRAM) "$(MODEL)" $(or $(WINDOWS),0) $(TEXTS)

# On the real tokenizers of the shared data.
bench-tokenizer: $(BENCH_TOKENIZER)
	@$(BENCH_TOKENIZER) $(sort $(wildcard $(SHARED_DATA)/tokenizers/*/tokenizer.json)) -- \
	  $(addprefix $(SHARED_DATA)/text/,wiki.test.raw calib-c4.txt calib-wiki.txt books.txt)

-include tests/fuzz/fuzz.mk
-include $(TEST_SOURCES:%.c=$(BUILD)/%.d) $(TOOL_SOURCES:%.c=$(BUILD)/%.d) $(BENCH_PROGRAM).d $(QUALITY_PROGRAM).d $(BENCH_KERNELS).d $(BENCH_TOKENIZER).d
