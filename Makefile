# retention: customer retention inside the shop's own database
EXTENSION = retention
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" retention.control)
PGFILEDESC = "retention - customer retention inside the shop's own database"

MODULE_big = retention
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))

# Adapters need what attaches them, and privileges come last.
ADAPTERS = $(filter-out adapters/template.sql,$(sort $(wildcard adapters/*.sql)))
FRAGMENTS = $(sort $(wildcard sql/[0-8]*.sql)) $(ADAPTERS) $(sort $(wildcard sql/9*.sql))
DATA = $(wildcard sql/retention--*--*.sql)
DATA_built = retention--$(EXTVERSION).sql

# Tests whose names begin with real_ read the data sets named by RETENTION_DATA.
REAL_TESTS = $(if $(wildcard $(RETENTION_DATA)/cdnow.csv.gz),$(sort $(wildcard test/sql/real_*.sql)))
TESTS = $(filter-out test/sql/real_%,$(sort $(wildcard test/sql/*.sql))) $(REAL_TESTS)
REGRESS = $(patsubst test/sql/%.sql,%,$(TESTS))
REGRESS_OPTS = --inputdir=test --load-extension=retention

ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=retention

TAP_TESTS = 1
PROVE_TESTS = $(sort $(wildcard test/t/*.pl))

PG_CPPFLAGS = -DRETENTION_VERSION=\"$(EXTVERSION)\"
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers
SHLIB_LINK += -llbfgs
EXTRA_CLEAN = retention--*.sql

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Before PostgreSQL 16 all that a library defines is visible to all others: what
# this one calls by name shall be its own.
ifeq ($(PORTNAME), linux)
SHLIB_LINK += -Wl,-Bsymbolic-functions
endif

$(OBJS): $(wildcard src/*.h)

retention--$(EXTVERSION).sql: $(FRAGMENTS)
	cat $^ > $@

# The archive for PGXN: the tree as committed, its META.json told the version.
.PHONY: dist
dist:
	rm -rf dist
	mkdir -p dist/retention-$(EXTVERSION)
	git archive HEAD | tar -x -C dist/retention-$(EXTVERSION)
	sed -i 's/__VERSION__/$(EXTVERSION)/' dist/retention-$(EXTVERSION)/META.json
	cd dist && zip -qr retention-$(EXTVERSION).zip retention-$(EXTVERSION)
