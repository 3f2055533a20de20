# Tessera. `make help` lists the targets. Objects live in build/<variant>/, sources are found by wildcard:
# adding a file edits no list.
CXX ?= g++
ARCH ?= native
VARIANT ?= release
BUILD := build/$(VARIANT)

ROOMS := kernels engine layers models data weights_tools
WARNINGS := -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror -Wno-restrict -Wno-missing-field-initializers
CPPFLAGS_ALL := -I. -isystem /usr/include/stb $(CPPFLAGS)
# -Wno-restrict: g++ 12 reports std::string concatenation falsely; missing designated initialisers are defaults.
# Contraction to FMA stays off outside kernels/: polygon rasterisation and the evaluator must round like pycocotools.
OPENMP := $(if $(filter fuzz,$(VARIANT)),,-fopenmp)
DEBUG_INFO ?= -g1
CXXFLAGS_ALL := -std=c++20 $(DEBUG_INFO) $(OPENMP) -march=$(ARCH) -ffp-contract=off $(WARNINGS) $(CXXFLAGS)
KERNEL_FLAGS := -ffp-contract=fast -fno-math-errno -fno-trapping-math
LDLIBS_ALL := $(OPENMP) -lturbojpeg -lzip -lfmt -lpthread $(LDLIBS)

ifeq ($(VARIANT),release)
  CXXFLAGS_ALL += -O2
  KERNEL_FLAGS += -O3
  APP_FLAGS := -O1
  TEST_FLAGS := -O1
else ifeq ($(VARIANT),debug)
  CXXFLAGS_ALL += -O0 -g -D_GLIBCXX_ASSERTIONS
  EMULATED_OPTIMISATION := -O0
else ifeq ($(VARIANT),asan)
  # Arithmetic alone is optimised: its tests are long, the rest compiles faster as it is. Left out of
  # UndefinedBehaviorSanitizer are null and object-size, which AddressSanitizer reports when memory is touched, vptr, and
  # outside the kernels alignment, a quarter of the compile time (of the parsers `make fuzz` checks it).
  CXXFLAGS_ALL += -O0 -fsanitize=address,undefined -fno-sanitize=null,object-size,vptr,alignment
  CXXFLAGS_ALL += -fno-sanitize-recover=all -fno-omit-frame-pointer -D_GLIBCXX_ASSERTIONS
  KERNEL_FLAGS += -O2 -fsanitize=alignment -fno-sanitize-recover=all
  TEST_FLAGS := -fno-sanitize=undefined
  LDFLAGS_ALL += -fsanitize=address,undefined
else ifeq ($(VARIANT),tsan)
  CXXFLAGS_ALL += -O1 -fsanitize=thread
  LDFLAGS_ALL += -fsanitize=thread
else ifeq ($(VARIANT),fuzz)
  # Of `make fuzz`, by clang: the parsers and what they call, nothing of the kernels. Warnings are g++'s business; vptr
  # is left out as above, and because its checks would ask for the contexts' tables, which no parser makes.
  CXXFLAGS_ALL := $(filter-out -W%,$(CXXFLAGS_ALL)) -O1 -fno-omit-frame-pointer -DTESSERA_FUZZ=1
  CXXFLAGS_ALL += -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all
  CXXFLAGS_ALL += -include tests/fuzz/clang.h
  LDFLAGS_ALL += -fsanitize=fuzzer,address,undefined
else
  $(error unknown VARIANT '$(VARIANT)': release, debug, asan, tsan or fuzz)
endif

# CUDA: auto = where a toolkit can compile for this program (tools/find_cuda.sh), no = never, yes = or fail.
# Sanitizer builds leave it out: the same kernels run there on the emulator.
CUDA ?= $(if $(filter release,$(VARIANT)),auto,no)
CUDA_ARCH ?= 86;89;90
CUDA_HOME := $(if $(filter no,$(CUDA)),,$(shell tools/find_cuda.sh '$(CXX)'))
ifeq ($(CUDA)$(CUDA_HOME),yes)
  $(error no CUDA toolkit was found: set CUDA_PATH to one, or build with CUDA=no)
endif
NVCC := $(if $(filter ccache,$(firstword $(CXX))),ccache )$(CUDA_HOME)/bin/nvcc
NVCC_FLAGS := -std=c++20 -O3 -lineinfo -Xcompiler -Wall,-fPIC -Xptxas -v --expt-relaxed-constexpr -I. $(NVCC_EXTRA)
cuda_architectures = $(subst ;, ,$(CUDA_ARCH))
NVCC_FLAGS += $(foreach arch,$(cuda_architectures),-gencode arch=compute_$(arch),code=sm_$(arch))
NVCC_FLAGS += -gencode arch=compute_$(lastword $(cuda_architectures)),code=compute_$(lastword $(cuda_architectures))
ifneq ($(CUDA_HOME),)
  CPPFLAGS_ALL += -DTESSERA_CUDA=1
  CUDA_INCLUDE := -isystem $(CUDA_HOME)/include
  LDLIBS_ALL += $(firstword $(wildcard $(CUDA_HOME)/lib64/libcudart_static.a $(CUDA_HOME)/lib/libcudart_static.a)) -ldl -lrt
endif

# cuBLAS and cuDNN are opened by the program when they are first used: only their headers are needed here. An empty
# CUBLAS_ROOT or CUDNN_ROOT leaves one out.
root_with = $(patsubst %/include/$(1),%,$(firstword $(wildcard $(addsuffix /include/$(1),$(CUDA_HOME) /usr /usr/local))))
CUBLAS_ROOT ?= $(if $(CUDA_HOME),$(call root_with,cublas_v2.h))
CUDNN_ROOT ?= $(if $(CUDA_HOME),$(call root_with,cudnn.h))
library_flags = $(if $(2),-DTESSERA_$(1)=1 -DTESSERA_$(1)_FOLDER='"$(firstword $(wildcard $(2)/lib64 $(2)/lib))"' $(addprefix -isystem ,$(addsuffix /include,$(filter-out /usr $(CUDA_HOME),$(2)))))
CUDA_LIBRARIES := $(call library_flags,CUBLAS,$(CUBLAS_ROOT)) $(call library_flags,CUDNN,$(CUDNN_ROOT))

LIBRARY_SOURCES := $(sort $(foreach room,$(ROOMS),$(shell find $(room) 2>/dev/null -name '*.cpp')))
LIBRARY_SOURCES := $(if $(CUDA_HOME),$(LIBRARY_SOURCES),$(filter-out kernels/cuda/%,$(LIBRARY_SOURCES)))
KERNEL_SOURCES := $(sort $(wildcard kernels/cuda/*.cu))
TEST_KERNEL_SOURCES := $(sort $(shell find tests -name '*.cu'))
NAME_TABLES := $(BUILD)/generated/name_tables.cpp
APP_MAIN := apps/tessera.cpp
APP_SOURCES := $(filter-out $(APP_MAIN),$(sort $(wildcard apps/*.cpp)))
TEST_SOURCES := $(sort $(shell find tests -name '*.cpp'))
KERNEL_TEST_SOURCES := tests/main.cpp $(filter tests/emulator/% tests/ops/%,$(TEST_SOURCES))
KERNEL_TEST_SOURCES += $(addprefix tests/,$(addsuffix _test.cpp,engine/training/sgd engine/training/adamw engine/training/finite_check kernels/philox))

# Objects of sources. The groups in BATCHED (library, apps, tests, cuda) are compiled several sources at a time, each
# header parsed once for all of them: for builds from nothing, since an edit compiles its whole batch.
BATCHED ?= $(if $(filter asan,$(VARIANT)),library apps tests cuda)
object = $(patsubst %.cpp,$(BUILD)/obj/%.o,$(1))
batches = $(patsubst $(BUILD)/batches/%.cpp,$(BUILD)/obj/%.o,$(shell tools/batch_sources.sh $(BUILD)/batches/$(1) 12 $(2)))
objects = $(if $(filter $(firstword $(subst /, ,$(1))),$(BATCHED)),$(call batches,$(1),$(2)),$(call object,$(2)))
emulated_object = $(patsubst %.cu,$(BUILD)/obj/%.emulated.o,$(patsubst $(BUILD)/batches/%,%,$(1)))
cuda_object = $(if $(CUDA_HOME),$(patsubst %.cu,$(BUILD)/obj/%.cuda.o,$(patsubst $(BUILD)/batches/%,%,$(1))))
KERNEL_UNITS := $(KERNEL_SOURCES)
ifneq ($(filter cuda,$(BATCHED)),)
  KERNEL_UNITS := $(shell tools/batch_sources.sh $(BUILD)/batches/kernels/cuda 6 $(KERNEL_SOURCES))
endif
KERNEL_OBJECTS := $(call object,$(filter kernels/%,$(LIBRARY_SOURCES)))
RNG := engine/core/rng.cpp
LIBRARY_OBJECTS := $(call objects,library,$(filter-out kernels/% $(RNG),$(LIBRARY_SOURCES))) $(call object,$(NAME_TABLES))
APP_OBJECTS := $(call objects,apps,$(APP_SOURCES))
EMULATOR_TEST_SOURCES := $(filter tests/emulator/%,$(TEST_SOURCES))
EMULATOR_TEST_OBJECTS := $(call objects,tests/emulator_alone,$(EMULATOR_TEST_SOURCES))
OP_TEST_OBJECTS := $(call objects,tests/kernels_alone,$(filter-out tests/emulator/%,$(KERNEL_TEST_SOURCES)))
TEST_OBJECTS := $(EMULATOR_TEST_OBJECTS) $(OP_TEST_OBJECTS) $(call objects,tests/others,$(filter-out $(KERNEL_TEST_SOURCES),$(TEST_SOURCES)))
LIBRARY := $(BUILD)/libtessera.a
BINARY := $(if $(filter release,$(VARIANT)),build/tessera,$(BUILD)/tessera)
TESTS := $(BUILD)/tessera_tests
KERNEL_TESTS := $(BUILD)/kernel_tests
RACE_TESTS := $(BUILD)/race_tests

quoted = '$(subst ','\'',$(1))'
V ?= 0
Q := $(if $(filter 0,$(V)),@)
say = $(if $(filter 0,$(V)),@printf '  %-5s %s\n' $(1) $(2))

.DEFAULT_GOAL := all
.PHONY: help all cpu cuda emulated test tiny asan tsan races fuzz fuzzers bench demo docs format lint goldens tidy install clean FORCE

help:                   ## this list
	@grep -hE '^[a-z ]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z ]+):.*## (.*)/  \1\t\2/' | expand -t 14
	@echo "  variables:  VARIANT=release|debug|asan|tsan  CUDA=auto|no|yes  CUDA_ARCH=86;89;90  CUDNN_ROOT=...  CUBLAS_ROOT=...  ARCH=native|x86-64-v3  CXX=...  PRECOMPILED=yes|no  BATCHED='library apps tests cuda'  DEBUG_INFO=-g1  V=1 (print commands)"
all: cpu                ## the binary build/tessera
cpu: $(BINARY)          ## the binary with the CPU backend
cuda:                   ## the same with CUDA=yes: fails where no toolkit is found
	$(Q)$(MAKE) --no-print-directory CUDA=yes $(BINARY)
	$(Q)tools/check_kernel_budgets.sh $(BUILD)
emulated: $(KERNEL_TESTS) ## the tests of all ops, CUDA kernels on the CPU beside the CPU's own
	$(Q)TESSERA_BACKENDS=cpu,emulated tools/run_tests.sh $(KERNEL_TESTS)
test: $(TESTS) $(BINARY) ## build and run the test suite (release)
	$(Q)TESSERA_BINARY=$(BINARY) tools/run_tests.sh $(TESTS)
tiny: $(TESTS)          ## the first test to run: one op, one tape, one gradient
	$(Q)$(TESTS) --gtest_filter='Tiny.*' --gtest_brief=1
asan:                   ## build and run the suite under AddressSanitizer and UBSan
	$(Q)$(MAKE) --no-print-directory VARIANT=asan test
# OpenMP loops are left out: libgomp is not instrumented, so its barriers look like races.
tsan:                   ## races of the parts that make threads of their own
	$(Q)$(MAKE) --no-print-directory VARIANT=tsan build/tsan/tessera_tests
	$(Q)TSAN_OPTIONS="halt_on_error=1 exitcode=66" tools/run_tests.sh build/tsan/tessera_tests --gtest_filter='Loader*:BatchOrder*:Allocator*'
races: $(RACE_TESTS)    ## races of the CUDA kernels, within a block and between blocks
	$(Q)tools/run_races.sh $(RACE_TESTS)
fuzz:                   ## libFuzzer on every parser, FUZZ_SECONDS=60 each (FUZZ=png: those named so)
	$(Q)tools/run_fuzz.sh --check
	$(Q)$(MAKE) --no-print-directory VARIANT=fuzz CXX=clang++ fuzzers
	$(Q)FUZZ='$(FUZZ)' FUZZ_SECONDS='$(FUZZ_SECONDS)' FUZZ_JOBS='$(FUZZ_JOBS)' tools/run_fuzz.sh build/fuzz
bench: $(BINARY)        ## speed of every op and of the model, with the machine's own peak
	$(Q)$(BINARY) bench ops
demo: $(BINARY)         ## train a small GridMask on generated scenes, write out/demo/report.html
	$(Q)$(BINARY) demo
docs:                   ## list the documentation
	@ls docs/*.md docs/*/*.md 2>/dev/null
format:                 ## rewrite every source file in the house format
	$(Q)tools/lint.sh --fix
lint:                   ## format, include direction, names of forbidden things, shell scripts
	$(Q)tools/lint.sh
# Without TESSERA_DATA and ../shared/data the photographs are left out.
GOLDEN_PYTHON := build/goldens/venv/bin/python
GOLDEN_PHOTOS := $(firstword $(wildcard $(addsuffix /photos,$(TESSERA_DATA) ../shared/data)))
goldens: $(GOLDEN_PYTHON) ## make tests/golden/data again with PyTorch and compare (GOLDENS=write: replace it)
	$(Q)$< tests/golden/generate.py $(if $(filter write,$(GOLDENS)),tests/golden/data,build/goldens --against tests/golden/data) $(addprefix --photos ,$(GOLDEN_PHOTOS))
$(GOLDEN_PYTHON): tests/golden/requirements.txt
	$(Q)python3 -m venv build/goldens/venv && build/goldens/venv/bin/pip install --quiet --requirement $<
	$(Q)touch $@
tidy:                   ## clang-tidy over the sources (slow)
	$(Q)clang-tidy --quiet $(LIBRARY_SOURCES) $(APP_SOURCES) $(APP_MAIN) -- -std=c++20 $(CPPFLAGS_ALL) -fopenmp
PREFIX ?= /usr/local
install: $(BINARY)      ## copy the binary to PREFIX/bin
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/tessera
clean:                  ## remove build/
	rm -rf build

# The common system headers are parsed once for each set of flags (g++ demands equal ones). ccache cannot see through
# them, so they are left out there and in the builds for debugging, which show what a file forgot to include.
PRECOMPILED ?= $(if $(filter ccache,$(firstword $(CXX)))$(filter debug tsan fuzz,$(VARIANT)),no,yes)
precompiled = $(BUILD)/precompiled/$(1).h
ifeq ($(PRECOMPILED),yes)
# g++ 12 takes moved strings for overruns more often behind them; the build without them keeps these warnings.
CXXFLAGS_ALL += -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread
$(KERNEL_OBJECTS): $(call precompiled,kernels).gch
$(KERNEL_OBJECTS): FIRST_INCLUDE := -include $(call precompiled,kernels)
$(LIBRARY_OBJECTS): $(call precompiled,library).gch
$(LIBRARY_OBJECTS): FIRST_INCLUDE := -include $(call precompiled,library)
$(APP_OBJECTS) $(call object,$(APP_MAIN)): $(call precompiled,apps).gch
$(APP_OBJECTS) $(call object,$(APP_MAIN)): FIRST_INCLUDE := -include $(call precompiled,apps)
$(TEST_OBJECTS): $(call precompiled,tests).gch
$(TEST_OBJECTS): FIRST_INCLUDE := -include $(call precompiled,tests)
endif
$(call precompiled,kernels).gch: CXXFLAGS_ALL += $(KERNEL_FLAGS)
$(call precompiled,apps).gch: CXXFLAGS_ALL += $(APP_FLAGS)
$(call precompiled,tests).gch: CXXFLAGS_ALL += $(TEST_FLAGS)
$(call precompiled,tests).gch: PRECOMPILED_SOURCE := tools/precompiled/tests.h
$(call precompiled,%).gch: PRECOMPILED_SOURCE ?= tools/precompiled/library.h
$(call precompiled,%).gch: tools/precompiled/library.h tools/precompiled/tests.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CXX,$(PRECOMPILED_SOURCE))
	$(Q)echo '#include "$(PRECOMPILED_SOURCE)"' > $(@:.gch=)
	$(Q)$(CXX) $(CXXFLAGS_ALL) $(CPPFLAGS_ALL) -x c++-header $(@:.gch=) -o $@

# A changed compiler or flag rebuilds everything that depends on it.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CXX) $(CXXFLAGS_ALL) $(CPPFLAGS_ALL) $(KERNEL_FLAGS) $(APP_FLAGS) $(PRECOMPILED) $(EMULATED_FLAGS)' | cmp -s - $@ || echo '$(CXX) $(CXXFLAGS_ALL) $(CPPFLAGS_ALL) $(KERNEL_FLAGS) $(APP_FLAGS) $(PRECOMPILED) $(EMULATED_FLAGS)' > $@

$(BUILD)/obj/kernels/%.o: private CXXFLAGS_ALL += $(KERNEL_FLAGS)
# Most of what tests do is drawing numbers.
$(call object,$(RNG)): private CXXFLAGS_ALL += $(if $(filter asan,$(VARIANT)),-O2)
$(BUILD)/obj/apps/%.o: private CXXFLAGS_ALL += $(APP_FLAGS)
$(BUILD)/obj/tests/%.o: private CXXFLAGS_ALL += $(TEST_FLAGS)
$(BUILD)/obj/tests/emulator/%.o $(BUILD)/obj/tests/emulator_alone/%.o: private CXXFLAGS_ALL += -Wno-unknown-pragmas
$(BUILD)/obj/kernels/cuda/%.o: private CPPFLAGS_ALL += $(CUDA_INCLUDE)
$(BUILD)/obj/kernels/cuda/context.o: private CPPFLAGS_ALL += -DTESSERA_CUDA_ARCHITECTURES='"$(CUDA_ARCH)"'
$(BUILD)/obj/kernels/cuda/context.o: $(BUILD)/cuda_flags
CUDA_LIBRARY_OBJECTS := $(call object,kernels/cuda/cublas_product.cpp kernels/cuda/cudnn_conv.cpp)
$(CUDA_LIBRARY_OBJECTS): private CPPFLAGS_ALL += $(CUDA_LIBRARIES)
$(CUDA_LIBRARY_OBJECTS): $(BUILD)/cuda_libraries
$(BUILD)/cuda_libraries: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(call quoted,$(CUDA_LIBRARIES)) | cmp -s - $@ || printf '%s\n' $(call quoted,$(CUDA_LIBRARIES)) > $@
# The emulator drives ThreadSanitizer's fibers itself: its own traffic is no race of a kernel.
$(BUILD)/obj/kernels/emulator/%.o: private CXXFLAGS_ALL += $(if $(filter tsan,$(VARIANT)),-fno-sanitize=thread -DTESSERA_RACE_CHECK=1)
define compile
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(CXX) $(CXXFLAGS_ALL) $(CPPFLAGS_ALL) $(FIRST_INCLUDE) -MMD -MP -c $< -o $@
endef
$(BUILD)/obj/%.o: %.cpp $(BUILD)/flags
	$(compile)
# -Wno-shadow: of names that only the batch brings together.
$(BUILD)/obj/%.o: $(BUILD)/batches/%.cpp $(BUILD)/flags
	$(compile) -Wno-shadow

# A .cu file is compiled twice: by the host compiler for the emulator, and by nvcc where there is one.
EMULATED_OPTIMISATION ?= -O2
EMULATED_FLAGS := -x c++ $(EMULATED_OPTIMISATION) -fno-strict-aliasing -Wno-unknown-pragmas
define compile_emulated
	@mkdir -p $(@D)
	$(call say,EMU,$<)
	$(Q)$(CXX) $(CXXFLAGS_ALL) $(EMULATED_FLAGS) $(CPPFLAGS_ALL) -MMD -MP -c $< -o $@
endef
$(BUILD)/obj/%.emulated.o: %.cu $(BUILD)/flags
	$(compile_emulated)
$(BUILD)/obj/%.emulated.o: $(BUILD)/batches/%.cu $(BUILD)/flags
	$(compile_emulated) -Wno-shadow
# Of `make races` what runs on the emulator is compiled once more, for ThreadSanitizer; the rest is the build's own. The
# emulator itself is not instrumented: it tells ThreadSanitizer what the threads do.
RACE_FLAGS := -O1 -fno-strict-aliasing -Wno-unknown-pragmas -Wno-shadow
race_object = $(patsubst %,$(BUILD)/obj/races/%.o,$(basename $(patsubst $(BUILD)/batches/%,%,$(1))))
RACE_OBJECTS := $(call race_object,$(KERNEL_UNITS) $(TEST_KERNEL_SOURCES) $(EMULATOR_TEST_SOURCES))
RACE_EMULATOR_OBJECTS := $(call race_object,$(filter kernels/emulator/%,$(LIBRARY_SOURCES)))
define compile_for_races
	@mkdir -p $(@D)
	$(call say,RACE,$<)
	$(Q)$(CXX) $(CXXFLAGS_ALL) $(RACE_FLAGS) $(INSTRUMENTED) $(CPPFLAGS_ALL) -MMD -MP -x c++ -c $< -o $@
endef
$(RACE_OBJECTS): INSTRUMENTED := -fsanitize=thread
$(RACE_EMULATOR_OBJECTS): INSTRUMENTED := -DTESSERA_RACE_CHECK=1
$(BUILD)/obj/races/%.o: %.cu $(BUILD)/race_flags
	$(compile_for_races)
$(BUILD)/obj/races/%.o: $(BUILD)/batches/%.cu $(BUILD)/race_flags
	$(compile_for_races)
$(BUILD)/obj/races/%.o: %.cpp $(BUILD)/race_flags
	$(compile_for_races)
$(BUILD)/race_flags: $(BUILD)/flags FORCE
	@printf '%s\n' $(call quoted,$(RACE_FLAGS)) | cmp -s - $@ || printf '%s\n' $(call quoted,$(RACE_FLAGS)) > $@
$(BUILD)/cuda_flags: FORCE
	@mkdir -p $(@D)
	@echo '$(NVCC) $(NVCC_FLAGS)' | cmp -s - $@ || echo '$(NVCC) $(NVCC_FLAGS)' > $@
# What ptxas says (registers, spills) is kept beside the object, for tools/check_kernel_budgets.sh.
define compile_cuda
	@mkdir -p $(@D)
	$(call say,NVCC,$<)
	$(Q)$(NVCC) $(NVCC_FLAGS) -MMD -MP -c $< -o $@ >$(@:.o=.ptxas) 2>&1 || { cat $(@:.o=.ptxas); rm -f $@; exit 1; }
endef
$(BUILD)/obj/%.cuda.o: %.cu $(BUILD)/cuda_flags
	$(compile_cuda)
$(BUILD)/obj/%.cuda.o: $(BUILD)/batches/%.cu $(BUILD)/cuda_flags
	$(compile_cuda)

$(NAME_TABLES): tools/embed_name_tables.sh $(sort $(wildcard weights_tools/name_tables/*.json))
	@mkdir -p $(@D)
	$(Q)$^ > $@

$(LIBRARY): $(KERNEL_OBJECTS) $(LIBRARY_OBJECTS) $(call object,$(RNG)) $(call emulated_object,$(KERNEL_UNITS)) $(call cuda_object,$(KERNEL_UNITS))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BINARY): $(call object,$(APP_MAIN)) $(APP_OBJECTS) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS_ALL) $(LDFLAGS) $^ $(LDLIBS_ALL) -o $@

$(TESTS): $(TEST_OBJECTS) $(APP_OBJECTS) $(call emulated_object,$(TEST_KERNEL_SOURCES)) $(call cuda_object,$(TEST_KERNEL_SOURCES)) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS_ALL) $(LDFLAGS) $^ -lgtest $(LDLIBS_ALL) -o $@

# The tests of the emulator and of all kernels alone.
$(KERNEL_TESTS): $(EMULATOR_TEST_OBJECTS) $(OP_TEST_OBJECTS) $(call emulated_object,$(TEST_KERNEL_SOURCES)) $(call cuda_object,$(TEST_KERNEL_SOURCES)) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS_ALL) $(LDFLAGS) $^ -lgtest $(LDLIBS_ALL) -o $@

# The same for the race checker. Instrumented objects come first: of what inline functions have in common, theirs is taken.
$(RACE_TESTS): $(RACE_OBJECTS) $(RACE_EMULATOR_OBJECTS) $(OP_TEST_OBJECTS) $(call cuda_object,$(TEST_KERNEL_SOURCES)) $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CXX) -fsanitize=thread $(LDFLAGS_ALL) $(LDFLAGS) $^ -lgtest $(LDLIBS_ALL) -o $@

# What the fuzzers may need; the linker takes from the archive what each asks for.
PARSER_SOURCES := $(filter-out engine/io/sha256.cpp,$(wildcard engine/io/*.cpp data/image/*.cpp data/annotations/*.cpp weights_tools/*.cpp))
PARSER_SOURCES += $(addprefix engine/core/,conv_tuning.cpp precision.cpp) kernels/conv2d_choice.cpp
PARSER_SOURCES += $(addprefix models/,config_keys.cpp model_config.cpp backbone/resnet_presets.cpp fcos/config.cpp)
PARSER_SOURCES += $(addprefix apps/,run_config.cpp run_log.cpp model_metadata.cpp)
$(BUILD)/libparsers.a: $(call object,$(PARSER_SOURCES))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^
fuzzers: $(patsubst tests/fuzz/%.cpp,$(BUILD)/%,$(wildcard tests/fuzz/*_fuzz.cpp))
$(BUILD)/%_fuzz: $(BUILD)/obj/tests/fuzz/%_fuzz.o $(BUILD)/libparsers.a
	$(call say,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS_ALL) $(LDFLAGS) $^ $(LDLIBS_ALL) -o $@

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
