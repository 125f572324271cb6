# sinq: `make help` lists what there is to make.
VERSION := 0.1.0
CC      ?= gcc
AR      ?= ar
PREFIX  ?= /usr/local
DESTDIR ?=
BUILD   ?= build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))$(if $(filter aarch64,$(ARCH)),/aarch64)
ARCH    ?= $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
comma   := ,
V       ?= 0
Q       := $(if $(filter 0,$(V)),@)

.DEFAULT_GOAL := all

CSTD     := -std=c11 -D_POSIX_C_SOURCE=200809L -D_FILE_OFFSET_BITS=64
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wmissing-prototypes -Werror
# The quantizer's result must not depend on the compiler's taste: no contraction into fused operations, no fast-math.
EXACT    := -ffp-contract=off
# Sanitizers' builds are made to be run once: half the time to compile is worth more than speed.
OPT      ?= $(if $(SAN),-O1 -g,-O3 -g)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
CPPFLAGS += -Ilib -Iformats -I.
CFLAGS   ?=
ALL_CFLAGS = $(CSTD) $(OPT) $(WARNINGS) $(EXACT) -fPIC -fvisibility=hidden -fopenmp $(SANFLAGS) $(CFLAGS)
LIBS     := -lcjson -lxxhash -lpcre2-8 -lutf8proc -lz -lm -ldl -fopenmp
PROGRAM_LIBS := -lpng -ledit

LIB_SOURCES  := $(filter-out lib/cuda/%,$(sort $(wildcard lib/*/*.c lib/*/*/*.c formats/*.c)))
CMD_SOURCES  := $(sort $(wildcard cmd/*.c))
TEST_SOURCES := $(sort $(wildcard tests/unit/*.c))
FUZZ_SOURCES := $(sort $(wildcard tests/fuzz/*.c))
LIB_OBJECTS  := $(LIB_SOURCES:%.c=$(BUILD)/%.o)
CMD_OBJECTS  := $(CMD_SOURCES:%.c=$(BUILD)/%.o)

PROGRAM := $(BUILD)/sinq
STATIC  := $(BUILD)/libsinq.a
SHARED  := $(BUILD)/libsinq.so.0

CUDA      ?= 0
-include lib/cuda/cuda.mk

.PHONY: all check check-all demo packages install uninstall fuzz bench-quantize bench-kernels bench-tokenizer quality format lint clean help
all: $(PROGRAM) $(STATIC) $(SHARED) $(BUILD)/sinq.1 $(CUDA_PLUGIN)

# One instruction set a file; what a file needs is in its name.
ifeq ($(ARCH),x86_64)
$(BUILD)/%_ssse3.o: ISA := -mssse3
$(BUILD)/%_avx2.o: ISA := -mavx2 -mf16c -mfma
$(BUILD)/%_avx2vnni.o: ISA := -mavx2 -mf16c -mfma -mavxvnni
$(BUILD)/%_avx512.o $(BUILD)/%_avx512vbmi.o: ISA := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mf16c -mfma -mprefer-vector-width=512
$(BUILD)/%_avx512vbmi.o: ISA += -mavx512vbmi
else ifeq ($(ARCH),aarch64)
$(BUILD)/%_neondot.o: ISA := -march=armv8.2-a+dotprod
endif

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC      $<")
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(ISA) -MMD -MP -c -o $@ $<

# gcc 12 cannot vectorize a loop of a test for arm64 (an internal error).
ifeq ($(ARCH),aarch64)
$(BUILD)/tests/unit/%.o: OPT := -O2 -g -fno-tree-vectorize
endif

# The inner loops make up for it, but those that are inlined many times: their checks take gcc minutes a file.
ifneq ($(SAN),)
WARNINGS += -Wno-maybe-uninitialized
$(BUILD)/lib/kernels/%.o: OPT := -O2 -g
$(BUILD)/lib/kernels/compute_%.o $(BUILD)/lib/kernels/byte_levels_%.o $(BUILD)/lib/kernels/quantize_%.o: OPT := -O2 -g -fno-inline
endif

# Facts for bug reports.
$(BUILD)/lib/base/build_facts.o: CPPFLAGS += -DSINQ_BUILD_FLAGS='"$(strip $(OPT) $(EXACT) $(SANFLAGS))"'

$(STATIC): $(LIB_OBJECTS)
	$(if $(Q),@echo "  AR      $@")
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(SHARED): $(LIB_OBJECTS)
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) -shared -Wl,-soname,libsinq.so.0 -Wl,--no-undefined $(SANFLAGS) -o $@ $^ $(LIBS)
	$(Q)ln -sf libsinq.so.0 $(BUILD)/libsinq.so

$(PROGRAM): $(CMD_OBJECTS) $(STATIC)
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $(CMD_OBJECTS) $(STATIC) $(PROGRAM_LIBS) $(LIBS)

$(BUILD)/sinq.1: $(PROGRAM)
	$(Q)$(RUN) $(PROGRAM) help --man > $@.new && mv $@.new $@

-include tests/tests.mk

# Debian packages: installed when that is possible, else the line that installs them is printed.
packages:
	@sh tests/packages.sh

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include/sinq \
	           $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
	           $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/sinq
	install -m 644 $(STATIC) $(DESTDIR)$(PREFIX)/lib/libsinq.a
	install -m 755 $(SHARED) $(DESTDIR)$(PREFIX)/lib/libsinq.so.$(VERSION)
	ln -sf libsinq.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libsinq.so.0
	ln -sf libsinq.so.0 $(DESTDIR)$(PREFIX)/lib/libsinq.so
	$(if $(CUDA_PLUGIN),install -D -m 755 $(CUDA_PLUGIN) $(DESTDIR)$(PREFIX)/lib/sinq/libsinq-cuda.so)
	install -m 644 lib/sinq.h formats/formats.h $(DESTDIR)$(PREFIX)/include/sinq/
	install -m 644 $(BUILD)/sinq.1 $(DESTDIR)$(PREFIX)/share/man/man1/sinq.1
	$(RUN) $(PROGRAM) help --completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/sinq
	$(RUN) $(PROGRAM) help --completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_sinq
	$(RUN) $(PROGRAM) help --completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/sinq.fish
	printf '%s\n' 'prefix=$(PREFIX)' 'Name: sinq' 'Description: Sinkhorn-normalized quantization of language models' \
	  'Version: $(VERSION)' 'Requires.private: libcjson libxxhash libpcre2-8 libutf8proc zlib' 'Libs: -L$${prefix}/lib -lsinq' \
	  'Libs.private: -lm -ldl -fopenmp' 'Cflags: -I$${prefix}/include/sinq' > $(DESTDIR)$(PREFIX)/lib/pkgconfig/sinq.pc

uninstall:
	cd $(DESTDIR)$(PREFIX) && rm -rf bin/sinq lib/sinq lib/libsinq.a lib/libsinq.so lib/libsinq.so.0 lib/libsinq.so.$(VERSION) \
	  include/sinq share/man/man1/sinq.1 lib/pkgconfig/sinq.pc share/bash-completion/completions/sinq \
	  share/zsh/site-functions/_sinq share/fish/vendor_completions.d/sinq.fish

SOURCES_OF_OURS = $(wildcard cmd/*.[ch] lib/*.h lib/*/*.[ch] lib/*/*/*.[ch] formats/*.[ch] tests/*/*.[ch])
format:
	clang-format -i $(SOURCES_OF_OURS)

lint:
	clang-format --dry-run --Werror $(SOURCES_OF_OURS)

clean:
	rm -rf build

help:
	@printf '%s\n' \
	'make                 the program, the static and the shared library, in $(BUILD)/' \
	'make demo            install what is missing, build, quantize the built-in model, inspect, measure and run it' \
	'make check           the tests (under 4 minutes)' \
	'make check-all       besides: big memory, kills, every instruction set, sanitizers, fuzz replay (under 25 minutes)' \
	'make check-arm64     the tests of kernels, cross-built for arm64 and run under qemu' \
	'make check-interop   our GGUF files in llama.cpp, which npm installs: ids, perplexity, logits' \
	'make fuzz            fuzz each reader for FUZZ_SECONDS (600) seconds; needs clang' \
	'make bench-quantize  the speed of quantizing a checkpoint of 4096-wide matrices' \
	'make bench-kernels   the speed of the kernels that run models' \
	'make bench-tokenizer the speed of tokenizing, with the tokenizers of the shared data' \
	'make quality MODEL= TWIN=  what quantizing MODEL costs, by method, bits and text: docs/quality.md, .tsv, .png; takes long, but' \
	'                     measures only what is new; QUALITY_METHODS= and QUALITY_BITS= restrict it (tests/bench/quality.sh)' \
	'make install         PREFIX=/usr/local DESTDIR=' \
	'make CUDA=1          besides: the plug-in for CUDA devices; needs CUDA 12.8 or later (CUDA_HOME=/usr/local/cuda)' \
	'make CUDA=1 check-cuda bench-cuda  its tests and the speed of its products, where a device is' \
	'make CUDA=1 fit24    models of 60 GB and more, made up, within 24 GB of a device; takes 90 GB of memory' \
	'make SAN=address,undefined check, make SAN=thread check    with sanitizers' \
	'make packages        install the Debian packages that building and testing need' \
	'make format lint clean uninstall' \
	'V=1 shows commands'

-include $(LIB_OBJECTS:.o=.d) $(CMD_OBJECTS:.o=.d)
