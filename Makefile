# Every task of the project. `make` alone explains them.
SHELL := /bin/bash
JOBS ?= $(shell nproc)
export JOBS

.PHONY: help setup build demo test test-asan test-tsan test-soak test-rdma fuzz bench bench-transfer bench-peers validate format tidy clean uninstall

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build  ## set up, build, and show a whole cluster at work; DEMO_ARGS=--exit ends after the tour
	@tools/demo $(DEMO_ARGS)

build: setup  ## build/release/bin/mooncake, and the default model in its cache
	@tools/compile release mooncake

setup:
	@tools/setup

test:  ## everything that must pass, with the time that each part took
	@tools/setup --tests && tools/test

test-asan:  ## unit and integration tests with address and undefined-behaviour sanitizers
	@tools/setup --tests && tools/test asan

test-tsan:  ## the same with the thread sanitizer
	@tools/setup --tests && tools/test tsan

test-soak:  ## the transfer engine while everything breaks: SOAK_SECONDS (default 600), a sixth of it with mac and with tls
	@tools/setup --tests && tools/compile release transfer_soak && seconds=$(or $(SOAK_SECONDS),600) && \
		for run in "$$seconds plain" "$$((seconds / 6 + 1)) mac" "$$((seconds / 6 + 1)) tls"; do \
		build/release/bin/transfer_soak $$run || exit 1; done

test-rdma:  ## the transfer engine over soft-RoCE, in a guest of QEMU; no RDMA hardware is needed
	@tools/setup --rdma && tools/rdma/test

fuzz:  ## fuzz every parser of foreign bytes, FUZZ_ARGS (seconds, or 10000000x, and targets; default 60)
	@tools/setup --tests && tools/fuzz $(FUZZ_ARGS)

bench: build  ## how much sooner a cached prefix answers, measured on a cluster of its own
	@tools/bench $(BENCH_ARGS)

bench-transfer: build  ## how fast the transfer engine is, beside memcpy, iperf3, fio and plain sockets; two minutes
	@tools/setup --bench && build/release/bin/mooncake bench transfer $(BENCH_ARGS)

bench-peers: build  ## the transfer engine beside two others that PyPI has, as far as they install; five minutes
	@bench/peers/compare $(BENCH_ARGS)

validate: build  ## does the simulator predict this machine? a live cluster beside it; a quarter of an hour
	@tools/validate $(VALIDATE_ARGS)

format:  ## clang-format on all of our C++
	@git ls-files --cached --others --exclude-standard '*.cc' '*.h' | xargs clang-format-16 -i

tidy:  ## clang-tidy and the analysis of locks on all of src/; about 20 minutes on 2 cores
	@tools/setup --tests && tools/tidy

clean:  ## remove build/
	@rm -rf build

uninstall:  ## remove binaries, environments and caches
	@tools/uninstall
