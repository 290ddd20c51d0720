# The short way to everything: each target does all the set-up that it needs.
#
#   make run [IMAGES=folder] [SERVE=0]   photos in, a first batch out, then the dashboard (see tools/run.sh)
#   make check                           every test but those of `make races`
#   make races                           the GPU kernels on the CPU, every access watched (minutes)
#   make bench                           measurements, beside the same work done with other tools (see bench/README.md)
#   make asan | tsan                     the tests under sanitizers
#   make valgrind                        some of the tests under valgrind, leaks included
#   make fuzz [FUZZ_SECONDS=60]          the ONNX reader on made-up bytes (installs clang)
#   make clean                           deletes build/ (set-up is kept outside, see tools/setup.sh)

DEPS := $(or $(GLN_DEPS),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gleaner/deps)
export GLN_DEPS := $(DEPS)
JOBS ?= $(shell nproc)
PYTHON := $(DEPS)/python/bin/python3
CONFIGURE = cmake --preset $(1) -DGLN_DEPS="$(DEPS)" $(if $(CI),-DGLN_WERROR=ON) $(2) > build/$(1).configure.log || { tail -n 30 build/$(1).configure.log; exit 1; }

.PHONY: all run check races bench fuzz asan tsan valgrind setup setup-check build clean
all: build

setup:
	@tools/setup.sh run

setup-check:
	@tools/setup.sh check

build: setup
	@mkdir -p build
	@$(call CONFIGURE,release,-DGLN_TESTS=OFF)
	@cmake --build --preset release -j $(JOBS)

run: build
	@tools/run.sh build/release/cli/gleaner

check: setup-check
	@mkdir -p build
	@$(call CONFIGURE,release,-DGLN_TESTS=ON -DGLN_PYTHON="$(PYTHON)")
	@cmake --build --preset release -j $(JOBS)
	@cd build/release && ctest --output-on-failure -j $(JOBS) -LE races

# Kernels with every access watched (tests/gpu/host_device): minutes.
races: setup-check
	@mkdir -p build
	@$(call CONFIGURE,release,-DGLN_TESTS=ON -DGLN_PYTHON="$(PYTHON)")
	@cmake --build --preset release -j $(JOBS)
	@cd build/release && ctest --output-on-failure -j $(JOBS) -L races

asan tsan: setup-check
	@mkdir -p build
	@$(call CONFIGURE,$@,-DGLN_PYTHON="$(PYTHON)")
	@cmake --build --preset $@ -j $(JOBS)
	@cd build/$@ && ctest --output-on-failure -LE 'web|peer'

# What holds memory in unusual ways and runs without FAISS and oneDNN: their threads and generated code say nothing about ours.
VALGRIND_TESTS := common/test_common index/test_vectors embed/test_onnx sampler/test_sampler_groups sampler/test_sampler_proposals store/test_store_rows
valgrind: setup-check
	@mkdir -p build
	@$(call CONFIGURE,release,-DGLN_TESTS=ON -DGLN_PYTHON="$(PYTHON)")
	@cmake --build --preset release -j $(JOBS)
	@for test in $(VALGRIND_TESTS); do \
	    CK_FORK=no CK_DEFAULT_TIMEOUT=0 valgrind -q --error-exitcode=9 --leak-check=full build/release/tests/$$test || exit 1; done

bench: setup-check build
	@bench/run.sh build/release

fuzz: setup-check
	@tools/setup.sh fuzz
	@mkdir -p build
	@$(call CONFIGURE,release,-DGLN_TESTS=ON -DGLN_PYTHON="$(PYTHON)")
	@cmake --build --preset release -j $(JOBS) --target test_conformance
	@tests/fuzz/run.sh build/release $(or $(FUZZ_SECONDS),60)

clean:
	rm -rf build
