# Fuzzing the readers (needs clang's libFuzzer), and replaying the corpus (does not): included by tests.mk.

FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_CC      ?= clang
FUZZ_BUILD   := $(BUILD)/fuzz
FUZZ_FLAGS   := $(CSTD) -O1 -g $(WARNINGS) $(EXACT) -fopenmp-simd -fno-omit-frame-pointer
FUZZ_FLAGS   += -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
FUZZ_LIBS    := -lcjson -lxxhash -lpcre2-8 -lutf8proc -lm
# Only the floors that readers stand on: the others would need clang's OpenMP.
FUZZ_LIB_SOURCES := $(filter lib/base/% lib/tensor/% lib/text/% lib/checkpoint/% formats/% lib/model/config% lib/model/gguf% lib/model/graph% \
  lib/model/layer_kinds% lib/model/rope% lib/model/families/%,$(LIB_SOURCES))
FUZZ_PROGRAMS    := $(FUZZ_TARGETS:%=$(FUZZ_BUILD)/fuzz_%)
REPLAY_PROGRAMS  := $(FUZZ_TARGETS:%=$(BUILD)/tests/fuzz/replay_%)

$(FUZZ_BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(Q),@echo "  FUZZCC  $<")
	$(Q)$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<

$(FUZZ_BUILD)/libsinq.a: $(FUZZ_LIB_SOURCES:%.c=$(FUZZ_BUILD)/%.o)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(FUZZ_PROGRAMS): $(FUZZ_BUILD)/fuzz_%: $(FUZZ_BUILD)/tests/fuzz/fuzz_%.o $(FUZZ_BUILD)/libsinq.a
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(FUZZ_CC) -fsanitize=address,undefined,fuzzer -o $@ $^ $(FUZZ_LIBS)

.PHONY: fuzz fuzz-programs check-fuzz-replay $(FUZZ_TARGETS:%=fuzz-%)
fuzz-programs: $(FUZZ_PROGRAMS)

# One after the other: the recipe of each target runs for FUZZ_SECONDS.
fuzz:
	@command -v $(FUZZ_CC) > /dev/null || { echo "make fuzz needs clang with libFuzzer (Debian: apt-get install clang)" >&2; exit 1; }
	@$(MAKE) --no-print-directory fuzz-programs
	@for target in $(FUZZ_TARGETS); do $(MAKE) --no-print-directory fuzz-$$target || exit 1; done

# New inputs are kept in the build folder; a finding is written beside them as TARGET-crash-...
$(FUZZ_TARGETS:%=fuzz-%): fuzz-%: $(FUZZ_BUILD)/fuzz_%
	@mkdir -p $(FUZZ_BUILD)/corpus/$*
	$< -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=1024 -max_len=16384 -print_final_stats=1 -verbosity=1 \
	  -dict=tests/fuzz/$*.dict -artifact_prefix=$(FUZZ_BUILD)/$*- $(FUZZ_BUILD)/corpus/$* tests/fuzz/corpus/$*

$(REPLAY_PROGRAMS): $(BUILD)/tests/fuzz/replay_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/replay.o $(STATIC)
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) $(SANFLAGS) -o $@ $^ $(LIBS)

check-fuzz-replay: $(REPLAY_PROGRAMS)
	@for target in $(FUZZ_TARGETS); do \
	  $(RUN) $(BUILD)/tests/fuzz/replay_$$target tests/fuzz/corpus/$$target || exit 1; done

.PRECIOUS: $(BUILD)/tests/fuzz/%.o $(FUZZ_BUILD)/%.o
-include $(FUZZ_SOURCES:%.c=$(BUILD)/%.d) $(FUZZ_LIB_SOURCES:%.c=$(FUZZ_BUILD)/%.d) $(FUZZ_SOURCES:%.c=$(FUZZ_BUILD)/%.d)
