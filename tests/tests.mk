# Tests, fuzzing and benchmarks: included by the Makefile.

UNIT_PROGRAMS := $(TEST_SOURCES:%.c=$(BUILD)/%)
FUZZ_SECONDS  ?= 600
SHARED_DATA   ?= $(abspath ../shared)
CHECK_LIBS    := -lcheck -lsubunit -lrt -lpthread

# Asserts stay in; forked tests do not go together with OpenMP and the sanitizers.
export CK_FORK ?= no
export SINQ_SHARED := $(SHARED_DATA)
export SINQ_PROGRAM := $(abspath $(PROGRAM))

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(STATIC)
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) $(SANFLAGS) -o $@ $< $(STATIC) $(CHECK_LIBS) $(LIBS)
.PRECIOUS: $(BUILD)/tests/unit/%.o

.PHONY: check-unit
check-unit: $(UNIT_PROGRAMS)
	@for program in $^; do $(RUN) $$program || exit 1; done

-include $(TEST_SOURCES:%.c=$(BUILD)/%.d)
