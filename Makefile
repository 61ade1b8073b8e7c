# The common tasks. `make help` lists them; README.md says more.

PREFIX ?= /usr/local
DESTDIR ?=
libdir ?= $(PREFIX)/lib
includedir ?= $(PREFIX)/include
bindir ?= $(PREFIX)/bin
mandir ?= $(PREFIX)/share/man

# Rust puts itself there, and not every shell knows.
export PATH := $(PATH):$(HOME)/.cargo/bin
# The tests look for the library below, wherever else the caller collects builds.
export CARGO_TARGET_DIR := $(CURDIR)/target
unexport CARGO_BUILD_TARGET

BUILD := target/c-tests
LIBRARY := target/release/libspmsg.so
NANOCAT := target/release/nanocat
JOBS := $(shell nproc 2>/dev/null || echo 2)
RIVALS := $(filter --rivals,$(ARGS))
CTEST_FLAGS := --output-on-failure --no-tests=error
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

.PHONY: help
help:
	@echo "make demo     install what is missing, build, and watch two C programs talk"
	@echo "make test     install what is missing, and run the Rust tests and the C conformance suite"
	@echo "make interop  talk to libnanomsg and nng with every type of socket, and print a table"
	@echo "make build    build target/release/libspmsg.so and libspmsg.a"
	@echo "make nanocat  build target/release/nanocat, the command-line tool, which install then takes"
	@echo "              along"
	@echo "make install  install what was built; PREFIX is $(PREFIX), DESTDIR is respected"
	@echo "make install-compat  install, and put the names that programs made for libnanomsg ask for"
	@echo "              into $(libdir)/spmsg, where they hide nothing"
	@echo "make bench    compare with libnanomsg on a quiet machine; ARGS are those of compare.py"
	@echo "make bench-report  measure everything and write doc/performance and README's table"
	@echo "make differential  run random sequences of calls on libnanomsg, too, and compare the answers;"
	@echo "              ARGS are those of c-tests/differential/compare.py"
	@echo "make soak     four processes under fire for a minute; ARGS=\"--minutes 30\" for longer, and"
	@echo "              \"--seed N\" for the same troubles again"
	@echo "make simulate  run programs on a simulated machine, fresh seeds for a minute or as ARGS say,"
	@echo "              or one of them again with SEED=n; doc/simulation.md explains it"
	@echo "make clean    remove everything that was built"

.PHONY: build
build:
	@command -v cargo >/dev/null || { echo "Rust is missing here, see https://rustup.rs"; exit 1; }
	cargo build --release
	@ln -sf libspmsg.so target/release/libspmsg.so.0

# Apart, because the library needs none of what the tool is made of.
.PHONY: nanocat
nanocat:
	@command -v cargo >/dev/null || { echo "Rust is missing here, see https://rustup.rs"; exit 1; }
	cargo build --release --features nanocat --bin nanocat

# What the demo, the tests and the benchmark need beside Rust.
.PHONY: tools
tools:
	@.ci/install.sh gcc libc6-dev g++ make cmake python3 libnanomsg-dev nanomsg-utils \
		libnng-dev

.PHONY: demo
demo: tools build
	cmake -S c-tests -B $(BUILD) -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD) --parallel $(JOBS) --target examples-pair
	c-tests/examples/demo.sh $(BUILD) $(LIBRARY)

.PHONY: test
test: tools build
	cargo test
	cmake -S c-tests -B $(BUILD) -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD) --parallel $(JOBS)
	ctest --test-dir $(BUILD) --label-exclude '^reference$$' --parallel $(JOBS) $(CTEST_FLAGS)
	ctest --test-dir $(BUILD) --label-regex '^reference$$' $(CTEST_FLAGS)

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
	python3 c-tests/bench/report.py --readme README.md target/bench.json

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

# Fills in a template of cmake/: $(call fill,TEMPLATE,FILE).
fill = echo "cmake/$(1) -> $(DESTDIR)$(2)" \
	&& sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(libdir)|g' \
	-e 's|@INCLUDEDIR@|$(includedir)|g' -e 's|@VERSION@|$(VERSION)|g' cmake/$(1) >"$(DESTDIR)$(2)"

# One page tells of several names. That of the tool comes with it.
PAGES = $(filter-out doc/man/nanocat.1,$(wildcard doc/man/*.[1-9])) $(addprefix doc/man/,$(TOOLS:=.1))
TOOLS = $(notdir $(wildcard $(NANOCAT)))
.PHONY: install-man
install-man:
	for page in $(PAGES); do \
		section="$(DESTDIR)$(mandir)/man$${page##*.}"; \
		install -d "$$section" && install -m 644 "$$page" "$$section" || exit 1; \
	done
	ln -sf nn_cmsg.3 "$(DESTDIR)$(mandir)/man3/nn_cmsg_nxthdr_.3"

# Does not build: whoever may write to PREFIX need not be who has Rust.
.PHONY: install
install: install-man
	@test -f $(LIBRARY) || { echo "Nothing is built yet: run make build first"; exit 1; }
	install -d "$(DESTDIR)$(includedir)/nanomsg" "$(DESTDIR)$(includedir)/spmsg" \
		"$(DESTDIR)$(libdir)/pkgconfig" "$(DESTDIR)$(libdir)/cmake/spmsg"
	install -m 644 include/nanomsg/*.h "$(DESTDIR)$(includedir)/nanomsg"
	install -m 644 include/spmsg/*.h include/spmsg/*.hpp "$(DESTDIR)$(includedir)/spmsg"
	install -m 755 $(LIBRARY) "$(DESTDIR)$(libdir)/libspmsg.so.0"
	ln -sf libspmsg.so.0 "$(DESTDIR)$(libdir)/libspmsg.so"
	install -m 644 target/release/libspmsg.a "$(DESTDIR)$(libdir)"
	@$(call fill,spmsg.pc.in,$(libdir)/pkgconfig/spmsg.pc)
	@$(call fill,spmsg-config.cmake.in,$(libdir)/cmake/spmsg/spmsg-config.cmake)
	@$(call fill,spmsg-config-version.cmake.in,$(libdir)/cmake/spmsg/spmsg-config-version.cmake)
	@test ! -f $(NANOCAT) || $(MAKE) --no-print-directory install-nanocat

# Under the names of the links it is a socket of that type.
NANOCAT_LINKS := push pull pub sub req rep surveyor respondent bus pair
.PHONY: install-nanocat
install-nanocat:
	install -d "$(DESTDIR)$(bindir)"
	install -m 755 $(NANOCAT) "$(DESTDIR)$(bindir)/nanocat"
	for name in $(NANOCAT_LINKS); do ln -sf nanocat "$(DESTDIR)$(bindir)/nn_$$name" || exit 1; done

# Everything under nanomsg's own name has a directory of its own, and is used only by who asks.
COMPAT := $(libdir)/spmsg
.PHONY: install-compat
install-compat: install
	install -d "$(DESTDIR)$(COMPAT)/pkgconfig" "$(DESTDIR)$(COMPAT)/cmake/nanomsg"
	ln -sf ../libspmsg.so.0 "$(DESTDIR)$(COMPAT)/libnanomsg.so.5"
	ln -sf ../libspmsg.so.0 "$(DESTDIR)$(COMPAT)/libnanomsg.so.6"
	ln -sfn ../../cmake/spmsg "$(DESTDIR)$(COMPAT)/cmake/spmsg"
	@$(call fill,nanomsg.pc.in,$(COMPAT)/pkgconfig/nanomsg.pc)
	@$(call fill,nanomsg-config.cmake.in,$(COMPAT)/cmake/nanomsg/nanomsg-config.cmake)
	@$(call fill,nanomsg-config-version.cmake.in,$(COMPAT)/cmake/nanomsg/nanomsg-config-version.cmake)

# Optimised, with the checks that a release leaves out. The library there is another one: a scheduler
# and a kernel of its own are built in.
.PHONY: simulate
simulate:
	RUSTFLAGS="--cfg simulated" cargo run --release --quiet --target-dir target/simulated \
		--manifest-path fuzz/simulation/Cargo.toml -- $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: clean
clean:
	rm -rf target
