# The plug-in for CUDA devices: `make CUDA=1`. Included by the Makefile; without CUDA=1 nothing here is built.
CUDA_HOME   ?= /usr/local/cuda
NVCC        ?= $(CUDA_HOME)/bin/nvcc
# Machine code for these compute capabilities, and PTX of the last one, which drivers compile for what comes later.
CUDA_ARCHS  ?= 80 86 89 90a 100 120
CUDA_PLUGIN := $(if $(filter-out 0,$(CUDA)),$(BUILD)/libsinq-cuda.so)

CUDA_CODE    = $(foreach arch,$(CUDA_ARCHS),-gencode arch=compute_$(arch),code=sm_$(arch)) \
               -gencode arch=compute_$(lastword $(CUDA_ARCHS)),code=compute_$(lastword $(CUDA_ARCHS))
NVCC_FLAGS   = -std=c++17 -O3 -Ilib -Xcompiler -fPIC,-fvisibility=hidden,-Wall --threads 0
CUDA_OBJECTS := $(patsubst %,$(BUILD)/%.o,$(sort $(wildcard lib/cuda/*.cu lib/cuda/*.c)))
CUDA_LIBS    := -L$(CUDA_HOME)/lib64 -lcudart_static -ldl -lrt -lpthread

$(BUILD)/lib/cuda/%.cu.o: lib/cuda/%.cu
	@mkdir -p $(@D)
	$(if $(Q),@echo "  NVCC    $<")
	$(Q)$(NVCC) $(NVCC_FLAGS) $(CUDA_CODE) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

$(BUILD)/lib/cuda/%.c.o: lib/cuda/%.c
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC      $<")
	$(Q)$(CC) $(CPPFLAGS) -isystem $(CUDA_HOME)/include $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Errors and ropes come from the library: the plug-in has its own copies, which no one else sees.
$(BUILD)/libsinq-cuda.so: $(CUDA_OBJECTS) $(STATIC)
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) -shared -Wl,--no-undefined -Wl,--exclude-libs,ALL -o $@ $^ $(CUDA_LIBS) -fopenmp -lm -lstdc++

-include $(CUDA_OBJECTS:.o=.d)

# ---- tests and benchmark, for machines with a device ----

CUDA_TESTS := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/cuda/*.c)))
CUDA_BENCH := $(BUILD)/tests/bench/bench_cuda $(BUILD)/tests/bench/bench_cuda_rows

CUDA_CHOICE := $(BUILD)/tests/cuda/test_cuda_choice
$(filter-out $(CUDA_CHOICE),$(CUDA_TESTS)): %: %.o $(STATIC)
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) $(SANFLAGS) -o $@ $< $(STATIC) $(CHECK_LIBS) $(LIBS)

# It looks into the plug-in.
$(CUDA_CHOICE).o: CPPFLAGS += -isystem $(CUDA_HOME)/include
$(CUDA_CHOICE): %: %.o $(filter %.cu.o,$(CUDA_OBJECTS)) $(STATIC)
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) $(SANFLAGS) -o $@ $^ $(CUDA_LIBS) $(CHECK_LIBS) $(LIBS) -lstdc++

$(CUDA_BENCH:=.o): CPPFLAGS += -isystem $(CUDA_HOME)/include
$(CUDA_BENCH): %: %.o $(filter %.cu.o,$(CUDA_OBJECTS)) $(STATIC)
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) -o $@ $^ $(CUDA_LIBS) $(LIBS) -lstdc++

-include $(CUDA_TESTS:=.d) $(CUDA_BENCH:=.d)

.PHONY: check-cuda bench-cuda fit24
# Where no device is, each says so and ends well.
check-cuda: $(CUDA_TESTS) $(CUDA_PLUGIN)
	@for program in $(CUDA_TESTS); do LD_LIBRARY_PATH=$(abspath $(BUILD))$${LD_LIBRARY_PATH:+:$$LD_LIBRARY_PATH} $$program || exit 1; done

bench-cuda: $(CUDA_BENCH)
	@for program in $(CUDA_BENCH); do $$program || exit 1; done

fit24: $(PROGRAM) $(CUDA_PLUGIN) $(TOOL_PROGRAMS)
	@sh tests/bench/fit24.sh
