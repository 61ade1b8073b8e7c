# The common tasks. `make help` lists them; README.md says more.

PREFIX ?= /usr/local
DESTDIR ?=
libdir ?= $(PREFIX)/lib
includedir ?= $(PREFIX)/include
bindir ?= $(PREFIX)/bin
mandir ?= $(PREFIX)/share/man

# The newest Rust that is found, which need not be the first on the path.
RUST := $(shell cargo=$$(cmake/find-cargo.sh 2>/dev/null) && \
	[ "$$cargo" != "$$(command -v cargo)" ] && dirname "$$cargo")
export PATH := $(if $(RUST),$(RUST):)$(PATH)
# The tests look for the library below, wherever else the caller collects builds.
export CARGO_TARGET_DIR := $(CURDIR)/target
unexport CARGO_BUILD_TARGET

BUILD := target/c-tests
LIBRARY := target/release/libspmsg.so
FRONT := target/front
JOBS := $(shell nproc 2>/dev/null || echo 2)
# Tests sleep most of the time; those that do not count for several.
TESTS_AT_ONCE := $(shell expr $(JOBS) \* 3)
RIVALS := $(filter --rivals,$(ARGS))
CTEST_FLAGS := --output-on-failure --no-tests=error

.PHONY: all
all: build

.PHONY: help
help:
	@echo "make demo     install what is missing, build, and watch two C programs talk"
	@echo "make test     install what is missing, and run the Rust tests and the C conformance suite"
	@echo "make interop  talk to libnanomsg and nng with every type of socket, and print a table"
	@echo "make check    the same"
	@echo "make build    build target/release/libspmsg.so and libspmsg.a; so does make alone"
	@echo "make nanocat  build target/release/nanocat, the command-line tool, too, which install then"
	@echo "              takes along"
	@echo "make tls      build target/release/libspmsg_tls.so, which is loaded for tls+tcp and wss, too;"
	@echo "              install then takes it along"
	@echo "make tls-inside  build the library with all that in one file instead"
	@echo "make headers  make include/ anew, after a change of src/ffi"
	@echo "make install  install what was built; PREFIX is $(PREFIX), DESTDIR is respected"
	@echo "make install-compat  install, with the names that programs made for libnanomsg ask for in"
	@echo "              $(libdir)/spmsg, where they hide nothing"
	@echo "make uninstall  remove what these two install"
	@echo "make bench    compare with libnanomsg on a quiet machine; ARGS are those of compare.py"
	@echo "make bench-report  measure everything and write doc/performance and README's table"
	@echo "make bench-tls  measure what encryption costs, also with nng and stunnel, and write"
	@echo "              doc/performance/tls.md; ARGS are those of c-tests/bench/tls.py"
	@echo "make differential  run random sequences of calls on libnanomsg, too, and compare the answers;"
	@echo "              ARGS are those of c-tests/differential/compare.py"
	@echo "make soak     four processes under fire for a minute; ARGS=\"--minutes 30\" for longer, and"
	@echo "              \"--seed N\" for the same troubles again"
	@echo "make simulate  run programs on a simulated machine, fresh seeds for a minute or as ARGS say,"
	@echo "              or one of them again with SEED=n; doc/simulation.md explains it"
	@echo "make clean    remove everything that was built"

# What is built and installed, and how, is told in CMakeLists.txt.
.PHONY: build
build: compilers
	@cmake -S . -B $(FRONT) -DCMAKE_BUILD_TYPE=Release -DSPMSG_CARGO_DIR="$(CURDIR)/target" \
		-DNN_TESTS=OFF $(PARTS) >$(FRONT).log 2>&1 || { cat $(FRONT).log; exit 1; }
	env -u MAKELEVEL cmake --build $(FRONT)

# What was asked for once is built along.
.PHONY: nanocat tls tls-inside
nanocat tls tls-inside: build
	@true
ASKED = $(if $(filter $(1),$(MAKECMDGOALS)),$(2),$(3))
NOTHING_YET = $(if $(wildcard $(FRONT)/CMakeCache.txt),,-DNN_ENABLE_NANOCAT=OFF)
PARTS = $(call ASKED,nanocat,-DNN_ENABLE_NANOCAT=ON,$(NOTHING_YET)) \
	$(call ASKED,tls,-DSPMSG_TLS=ON) $(call ASKED,tls-inside,-DSPMSG_TLS=INSIDE)

.PHONY: compilers
compilers:
	@cmake/find-cargo.sh >/dev/null
	@command -v cc >/dev/null || \
		{ echo "A C compiler is missing here: Debian's packages are gcc and libc6-dev"; exit 1; }
	@echo "#include <stdio.h>" | cc -E -x c - >/dev/null 2>&1 || \
		{ echo "The headers of the C library are missing here: Debian's package is libc6-dev"; \
		exit 1; }
	@command -v cmake >/dev/null || \
		{ echo "CMake is missing here: Debian's package is cmake"; exit 1; }
	@mkdir -p $(FRONT)

.PHONY: headers
headers:
	cargo check --lib --features headers

# What the demo, the tests and the benchmark need beside Rust.
.PHONY: tools
tools:
	@.ci/install.sh gcc libc6-dev g++ make cmake pkg-config python3 libnanomsg-dev \
		nanomsg-utils libnng-dev

.PHONY: demo
demo: tools build
	cmake -S c-tests -B $(BUILD) -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD) --parallel $(JOBS) --target examples-pair examples-tls
	c-tests/examples/demo.sh $(BUILD) $(LIBRARY)

.PHONY: test
test: tools build
	cargo test
	cmake -S c-tests -B $(BUILD) -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD) --parallel $(JOBS)
	@# What fails of ours does not keep the reference from being tried.
	ctest --test-dir $(BUILD) --label-exclude '^reference$$' --parallel $(TESTS_AT_ONCE) \
		$(CTEST_FLAGS); \
		ours=$$?; \
		ctest --test-dir $(BUILD) --label-regex '^reference$$' --parallel $(TESTS_AT_ONCE) \
		$(CTEST_FLAGS) && exit $$ours

.PHONY: check
check: test

.PHONY: interop
interop: tools build
	cmake -S c-tests -B $(BUILD) -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD) --parallel $(JOBS) --target interop

.PHONY: bench
bench: bench-program
	python3 c-tests/bench/compare.py $(ARGS)

# Measures everything, then writes the table and the plots of doc/performance.md.
.PHONY: bench-report
bench-report: bench-program
	python3 c-tests/bench/compare.py --all --json target/bench.json $(ARGS)
	python3 c-tests/bench/compare.py --hogs --json target/bench-hogs.json
	python3 c-tests/bench/report.py --readme README.md --hogs target/bench-hogs.json \
		target/bench.json

# Encryption against plain streams, nng and stunnel; writes a page of doc/performance.
.PHONY: bench-tls
bench-tls: tools tls
	@.ci/install.sh libnng-dev libzmq3-dev stunnel4 openssl
	cmake -S c-tests -B $(BUILD) -DCMAKE_BUILD_TYPE=Release -DSPMSG_BENCH_RIVALS=ON
	cmake --build $(BUILD) --parallel $(JOBS) --target bench bench-rival-nng
	python3 -B c-tests/bench/tls.py --write doc/performance/tls.md $(ARGS)

# What the rivals of `ARGS=--rivals` are made of is installed for them alone.
.PHONY: bench-program
bench-program: tools build
	$(if $(RIVALS),@.ci/install.sh libnng-dev libzmq3-dev)
	cmake -S c-tests -B $(BUILD) -DCMAKE_BUILD_TYPE=Release \
		-DSPMSG_BENCH_RIVALS=$(if $(RIVALS),ON,OFF)
	cmake --build $(BUILD) --parallel $(JOBS)

.PHONY: differential
differential: tools build
	cmake -S c-tests -B $(BUILD) -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD) --parallel $(JOBS) --target differential-differential
	python3 c-tests/differential/compare.py \
		--program $(BUILD)/differential/differential-differential \
		--libraries $(BUILD)/lib/spmsg $(BUILD)/lib/reference $(ARGS)

.PHONY: soak
soak: tools build
	cmake -S c-tests -B $(BUILD) -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD) --parallel $(JOBS) --target soak-soak
	LD_LIBRARY_PATH=$(BUILD)/lib/spmsg $(BUILD)/soak/soak-soak $(ARGS)

# $(call front,OPTION...): the shell variable `front` is a directory that is configured to install.
# Nothing is written below target, where nobody but who builds may have to write.
front = front=$$(mktemp -d) && trap 'rm -rf "$$front"' EXIT && \
	cmake -S . -B "$$front" $(1) -DCMAKE_INSTALL_PREFIX:PATH="$(PREFIX)" \
		-DCMAKE_INSTALL_LIBDIR:PATH="$(libdir)" -DCMAKE_INSTALL_BINDIR:PATH="$(bindir)" \
		-DCMAKE_INSTALL_INCLUDEDIR:PATH="$(includedir)" \
		-DCMAKE_INSTALL_MANDIR:PATH="$(mandir)" >/dev/null

# Does not build: whoever may write to PREFIX need not be who has Rust.
.PHONY: install install-strip
install-strip: STRIP := --strip
install install-strip: built
	@$(call front,-DSPMSG_PREBUILT="$(CURDIR)/$(FRONT)" -DSPMSG_NAMES=$(or $(NAMES),OFF)) && \
		cmake --install "$$front" $(STRIP)

# Everything under nanomsg's own name has a directory of its own, and is used only by who asks.
.PHONY: install-compat
install-compat: NAMES := APART
install-compat: install

.PHONY: uninstall
uninstall:
	@$(call front,-DSPMSG_PREBUILT=NOTHING) && \
		cmake -DBUILD="$$front" -P cmake/uninstall.cmake

.PHONY: built
built:
	@test -f $(FRONT)/spmsg-built.cmake && test -f $(LIBRARY) || \
		{ echo "Nothing is built yet: run make build first"; exit 1; }
	@command -v cmake >/dev/null || \
		{ echo "CMake is missing here: Debian's package is cmake"; exit 1; }

# Optimised, with the checks that a release leaves out. The library there is another one: a scheduler
# and a kernel of its own are built in.
.PHONY: simulate
simulate:
	RUSTFLAGS="--cfg simulated" cargo run --release --quiet --target-dir target/simulated \
		--manifest-path fuzz/simulation/Cargo.toml -- $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: clean
clean:
	rm -rf target
