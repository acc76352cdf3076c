# Postern.  `make` builds into build/, `make check` runs every fast test, `make run` shows the suite at work.
#
# Not recursive and without lists: a file FOLDER/postern-NAME.c (and control/postern.c) holds a main and becomes
# build/bin/postern-NAME; every other FOLDER/*.c is a module and goes into build/FOLDER.a; every
# tests/unit/FOLDER/NAME.c becomes a test program of its own, every tests/fuzz/NAME.c a fuzz target; tests/harness/*.c is what
# test programs share.
# A program is linked against all archives and libraries; the linker keeps what is used (--as-needed).
# `make SAN=1` builds the same under build-san/ with ASan and UBSan, `make HUNT=1 fuzz` fuzz targets under build-hunt/ that look
# for inputs by themselves (clang's libFuzzer).

FOLDERS := lib supervise smtpd-outside directory fixup scanner-bridge queue deliver qmqp skim inject control
BUILD   := build$(if $(HUNT),-hunt,$(if $(SAN),-san))
ifdef HUNT
override SAN := 1
CC      := clang
endif

comma   := ,
CC      ?= cc
PKG     := gmime-3.0 libseccomp openssl jansson libcap libmaxminddb libpcre2-8 sqlite3 zlib
WARN    := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wvla -Wstrict-prototypes -Wmissing-prototypes \
           -Wformat=2 -Wcast-qual -Wwrite-strings -Wundef $(if $(CI),-Werror)
HARDEN  := -fstack-protector-strong -fPIE $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
SANFLAG := $(if $(SAN),-fsanitize=address$(comma)undefined$(if $(HUNT),$(comma)fuzzer-no-link) -fno-sanitize-recover=all -fno-omit-frame-pointer)
CFLAGS  ?= -O2 -g
# Asked when first needed, then kept: what reads this before the packages are there (make deps) needs no answer.
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(PKG) 2>/dev/null | sed 's/-I/-isystem /g'))$(or $(PKG_CFLAGS),$(LACKING))
PKG_LIBS   = $(eval PKG_LIBS := $$(shell pkg-config --libs $(PKG) 2>/dev/null))$(or $(PKG_LIBS),$(LACKING))
LACKING    = $(error packages are missing that Postern is built with; "make deps" installs them as root, and names them to others)
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE $(CFLAGS) $(WARN) $(HARDEN) $(SANFLAG) -I. $(PKG_CFLAGS) -MMD -MP
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now,--as-needed $(SANFLAG) $(LDFLAGS)
LIBS    = $(PKG_LIBS) -lldap -llber -lclamav -lcdb -lunbound -lidn2 -lm $(if $(SAN),-Wl$(comma)--no-as-needed) -lcrypt

# One process per session: a fork of a static program copies less (docs/decisions.md).
ifndef SAN
LDFLAGS_postern-smtpd = -static-pie -Wl,-z,noseparate-code,-z,max-page-size=65536,-T,smtpd-outside/session.ld
LIBS_postern-smtpd    = -lseccomp -lcdb
# One process per TLS connection: fewer mappings to copy, but the library that needs updates stays outside.
LIBS_postern-tls      = -lssl -lcrypto -Wl,-Bstatic -lseccomp -lcdb -Wl,-Bdynamic
endif

MAINS    := $(wildcard $(FOLDERS:%=%/postern-*.c)) $(wildcard control/postern.c)
MODULES  := $(filter-out $(MAINS),$(wildcard $(FOLDERS:%=%/*.c)))
PROGRAMS := $(MAINS:%.c=$(BUILD)/bin/%)
PROGRAMS := $(foreach p,$(PROGRAMS),$(BUILD)/bin/$(notdir $p))
ARCHIVES := $(foreach f,$(FOLDERS),$(if $(filter $f/%,$(MODULES)),$(BUILD)/$f.a))
UNIT     := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*/*.c))
FUZZ     := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/fuzz/*.c))
HARNESS  := $(BUILD)/tests/harness.a
CRASH    := $(BUILD)/tests/crash/power $(BUILD)/tests/crash/calls

.PHONY: all queue-scale deps check unit unit-run san fuzz fuzz-replay e2e run demo bench soak crash crash-programs clean
.DELETE_ON_ERROR:
.SECONDARY:
.SECONDEXPANSION:

# Manual pages made from the tables of the code.
GENERATED_MAN := $(BUILD)/man/postern-control.5 $(BUILD)/man/postern-log.5 $(BUILD)/man/postern-replies.5

# The front ends under their usual names are links to one program.
FRONT_ENDS := $(addprefix $(BUILD)/bin/,sendmail qmail-queue qmail-inject mailq qmail-qstat qmail-qread)

all: $(PROGRAMS) $(GENERATED_MAN) $(FRONT_ENDS)

$(FRONT_ENDS): $(BUILD)/bin/postern-sendmail
	@ln -sf postern-sendmail $@

# The filter for an existing qmail.
all: $(BUILD)/bin/qmail-skim
$(BUILD)/bin/qmail-skim: $(BUILD)/bin/postern-skim
	@ln -sf postern-skim $@

$(BUILD)/man/postern-%.5: $(BUILD)/bin/postern
	@mkdir -p $(@D)
	@$< manpage $* >$@

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  cc $<"; $(CC) $(ALL_CFLAGS) -c -o $@ $<

define archive
$(BUILD)/$1.a: $(patsubst %.c,$(BUILD)/%.o,$(filter $1/%,$(MODULES)))
	@rm -f $$@
	@ar rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call archive,$f)))

define program
$(BUILD)/bin/$(notdir $(basename $1)): $(BUILD)/$(1:.c=.o) $(ARCHIVES)
	@mkdir -p $$(@D)
	@echo "  ld $$@"; $(CC) $$(ALL_LDFLAGS) $$(LDFLAGS_$(notdir $(basename $1))) -o $$@ $$< -Wl,--start-group $(ARCHIVES) -Wl,--end-group $$(or $$(LIBS_$(notdir $(basename $1))),$$(LIBS))
endef
$(foreach m,$(MAINS),$(eval $(call program,$m)))

$(HARNESS): $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/harness/*.c))
	@rm -f $@
	@ar rcs $@ $^

$(UNIT): $(BUILD)/tests/%: $(BUILD)/tests/%.o $(HARNESS) $(ARCHIVES)
	@echo "  ld $@"; $(CC) $(ALL_LDFLAGS) -o $@ $< -Wl,--start-group $(HARNESS) $(ARCHIVES) -Wl,--end-group $(LIBS) $(shell pkg-config --libs check)
# Where a report takes its memory, so that the test can refuse it.
$(BUILD)/tests/unit/queue/report: ALL_LDFLAGS += -Wl,--wrap=calloc,--wrap=bounce_make,--wrap=index_add
# The same for what is noted of a message (tests/harness/no_memory.h).
$(filter $(BUILD)/tests/unit/queue/ending%,$(UNIT)): ALL_LDFLAGS += -Wl,--wrap=realloc,--wrap=malloc,--wrap=work_state,--wrap=work_expand,--wrap=results_end,--wrap=store_add,--wrap=store_tend
# What a sender is told; the time; and what the log remembers of its notes.
$(BUILD)/tests/unit/queue/age: ALL_LDFLAGS += -Wl,--wrap=bounce_make
$(BUILD)/tests/unit/queue/hangs: ALL_LDFLAGS += -Wl,--wrap=clock_msec
$(BUILD)/tests/unit/queue/kept: ALL_LDFLAGS += -Wl,--wrap=segment_pin,--wrap=clock_msec
$(FUZZ): $(BUILD)/tests/%: $(BUILD)/tests/%.o $(if $(HUNT),,$(BUILD)/tests/fuzz-replay.o) $(ARCHIVES)
	@echo "  ld $@"; $(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(if $(HUNT),-fsanitize=fuzzer) -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(LIBS)

CRASH_MODULES := $(filter-out $(CRASH:%=%.o),$(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/crash/*.c)))
$(CRASH): $(BUILD)/tests/crash/%: $(BUILD)/tests/crash/%.o $(CRASH_MODULES) $(HARNESS) $(ARCHIVES)
	@echo "  ld $@"; $(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(HARNESS) $(ARCHIVES) -Wl,--end-group $(LIBS)

# Everything a fresh Debian 12 lacks; nothing is installed where all is there.
deps:
	@tests/deps

unit: $(UNIT)
unit-run: $(UNIT)
	@tests/run-unit $(UNIT)
fuzz: $(FUZZ)
fuzz-replay: $(FUZZ)
	@tests/run-fuzz $(FUZZ)
crash-programs: $(CRASH)
e2e: all $(CRASH)
	@tests/run-e2e

# What the commands for newcomers build, they build on all processors, unless told otherwise (-j).
JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))
SUB  = $(MAKE) --no-print-directory

san: deps
	@$(SUB) $(JOBS) SAN=1 unit fuzz
	@$(SUB) SAN=1 unit-run fuzz-replay
check: deps
	@$(SUB) $(JOBS) all unit fuzz
	@$(SUB) unit-run fuzz-replay
	@$(SUB) san
	@$(SUB) e2e

run: deps
	@$(SUB) $(JOBS) all
	@tests/demo/run
demo: deps
	@$(SUB) $(JOBS) all
	@tests/demo/run --stop
# How the queue starts with many messages waiting; SCALE=1000000 takes some minutes; and with KINDS records of every kind.
queue-scale: deps
	@$(SUB) $(JOBS) $(BUILD)/tests/unit/queue/scale
	@SCALE=$(or $(SCALE),100000) KINDS=$(or $(KINDS),100000) $(BUILD)/tests/unit/queue/scale
# Postfix is unpacked, not installed; these are the libraries it wants.
bench:
	@tests/deps libdb5.3 libicu72 libnsl2 libsasl2-2 netbase
	@$(SUB) $(JOBS) all
	@bench/run

# Power cuts, SIGKILL and errors at every system call (docs/crash.md): minutes.  `make check` has samples of them.
crash: deps
	@$(SUB) $(JOBS) all crash-programs
	@tests/crash/run

# A million messages (SOAK_MESSAGES=…) while a random program is killed every two seconds: half an hour and more.  `make check` has a short one.
soak: deps
	@$(SUB) $(JOBS) all
	@tests/soak/run

clean:
	rm -rf build build-san build-hunt

-include $(shell find build build-san build-hunt -name '*.d' 2>/dev/null)
