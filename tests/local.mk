# The control plane on virtual time.
check_PROGRAMS += tests/unit/sim/test_sim
tests_unit_sim_test_sim_SOURCES = \
	tests/sim/test_custom.c \
	tests/sim/test_deployment.c tests/sim/test_faults.c tests/sim/test_scheduler.c \
	tests/sim/faults.c tests/sim/faults.h \
	tests/sim/world.c tests/sim/world.h \
	$(LIBC_PARTS)
tests_unit_sim_test_sim_LDADD = libtap.a $(controllers_LIBS) $(scheduler_LIBS) $(apiserver_LIBS) $(client_LIBS) $(api_LIBS) $(http_LIBS) $(store_LIBS) $(loop_LIBS) $(base_LIBS)

check_PROGRAMS += tests/unit/scheduler/test_scheduler
tests_unit_scheduler_test_scheduler_SOURCES = tests/unit/scheduler/test_plan.c $(LIBC_PARTS)
tests_unit_scheduler_test_scheduler_LDADD = libtap.a $(scheduler_LIBS)

check_PROGRAMS += tests/unit/apiserver/test_apiserver
tests_unit_apiserver_test_apiserver_SOURCES = \
	tests/unit/apiserver/test_admission.c \
	tests/unit/apiserver/test_custom.c \
	tests/unit/apiserver/test_definitions.c \
	tests/unit/apiserver/test_large.c \
	tests/unit/apiserver/test_lists.c \
	tests/unit/apiserver/test_pure.c \
	tests/unit/apiserver/test_remote.c \
	tests/unit/apiserver/test_renewals.c \
	tests/unit/apiserver/test_versions.c \
	tests/unit/apiserver/world.c tests/unit/apiserver/world.h \
	$(LIBC_PARTS)
tests_unit_apiserver_test_apiserver_LDADD = libtap.a $(client_LIBS) $(apiserver_LIBS) $(api_LIBS) $(http_LIBS) $(store_LIBS) $(loop_LIBS)

# The program with a reaper inside: it ends itself at a step that a test names (tests/crash/die.c).
noinst_PROGRAMS += tests/crash/monokube
tests_crash_monokube_SOURCES = $(monokube_SOURCES) tests/crash/die.c
tests_crash_monokube_LDADD = $(monokube_LDADD)

# Clients for tests/bench.
noinst_PROGRAMS += tests/bench/load
tests_bench_load_SOURCES = tests/bench/load.c $(LIBC_PARTS)
tests_bench_load_LDADD = $(client_LIBS)

# Fuzz targets (docs/fuzz.md): one word, one file tests/fuzz/fuzz_<word>.c. They are linked with the driver that replays
# tests/fuzz/corpus/<word>/, or with libFuzzer in a tree that was configured with --enable-sanitize=fuzz.
FUZZ_TARGETS = json yaml patch proto object strategic apply selector quantity wire h1 h2 websocket spdy client dns archive planted
FUZZ_ALL = $(FUZZ_TARGETS:%=tests/fuzz/fuzz_%)
FUZZ_WITH = libdns.a libapiserver.a $(image_LIBS) $(runtime_LIBS) $(api_LIBS) $(http_LIBS) $(loop_LIBS) $(base_LIBS)
FUZZ_SHARED = tests/fuzz/kinds.o tests/fuzz/talk.o $(filter %.o,$(FUZZ_DRIVER))

tests/fuzz/%.o: tests/fuzz/%.c tests/fuzz/fuzz.h tests/fuzz/talk.h $(wildcard $(top_srcdir)/*/*.h)
	@$(MKDIR_P) tests/fuzz
	$(AM_V_CC)$(COMPILE) -DFUZZ_CORPUS='"$(abs_top_srcdir)/tests/fuzz/corpus"' -DTEST_DATA='"$(abs_top_srcdir)/tests/data/api-v1.36"' -c -o $@ $<
$(FUZZ_ALL): tests/fuzz/fuzz_%: tests/fuzz/fuzz_%.o $(FUZZ_SHARED) $(FUZZ_WITH)
	$(AM_V_CCLD)$(LINK) $< $(FUZZ_SHARED) $(filter -%,$(FUZZ_DRIVER)) $(FUZZ_WITH) $(LIBS)
fuzz-programs: $(FUZZ_ALL)
mostlyclean-local:
	rm -rf tests/fuzz/*.o $(FUZZ_ALL) tests/attack/weak-http

# make fuzz [SECONDS=600] [TARGET=json]: needs clang; its tree is build/fuzz.
fuzz:
	@$(top_srcdir)/tests/fuzz/run "$(SECONDS)" "$(TARGET)"
fuzz-targets:
	@echo $(FUZZ_TARGETS)
.PHONY: fuzz fuzz-programs fuzz-targets
.SECONDARY:

# What tests/attack runs inside containers: static, so that any root file system will do.
if STATIC
noinst_PROGRAMS += tests/attack/probe
tests_attack_probe_SOURCES = tests/attack/probe.c
noinst_PROGRAMS += tests/crash/worker
tests_crash_worker_SOURCES = tests/crash/worker.c
endif

check_PROGRAMS += tests/unit/controllers/test_controllers
tests_unit_controllers_test_controllers_SOURCES = tests/unit/controllers/test_namespace.c $(LIBC_PARTS)
tests_unit_controllers_test_controllers_LDADD = libtap.a $(controllers_LIBS)

# http with its limits lifted and its checks left out, under the unit tests of http: those of attacks must be red (tests/attack/weak).
WEAK = tests/attack/weak-http
WEAK_OBJECTS = $(patsubst http/%.c,$(WEAK)/%.o,$(filter %.c,$(libhttp_a_SOURCES)))
$(WEAK)/base/limits.h: base/limits.h tests/attack/weak.sed
	@$(MKDIR_P) $(WEAK)/base
	$(AM_V_GEN)sed -E -f $(srcdir)/tests/attack/weak.sed $< >$@
$(WEAK)/%.o: http/%.c $(WEAK)/base/limits.h $(wildcard $(top_srcdir)/*/*.h)
	@sed -E -f $(srcdir)/tests/attack/weak.sed $< >$(@:.o=.c)
	$(AM_V_CC)$(CC) -I$(WEAK) $(DEFS) $(AM_CPPFLAGS) $(AM_CFLAGS) $(CFLAGS) -w -c -o $@ $(@:.o=.c)
$(WEAK)/test_http: $(WEAK_OBJECTS) $(tests_unit_http_test_http_OBJECTS) libtap.a $(loop_LIBS)
	$(AM_V_CCLD)$(LINK) $^ $(LIBS)
weak-http: $(WEAK)/test_http
.PHONY: weak-http
