# The control plane on virtual time.
check_PROGRAMS += tests/unit/sim/test_sim
tests_unit_sim_test_sim_SOURCES = \
	tests/sim/test_custom.c \
	tests/sim/test_deployment.c \
	tests/sim/world.c tests/sim/world.h \
	$(STATIC_NSS)
tests_unit_sim_test_sim_LDADD = libtap.a $(controllers_LIBS) $(scheduler_LIBS) $(apiserver_LIBS) $(client_LIBS) $(api_LIBS) $(http_LIBS) $(store_LIBS) $(loop_LIBS) $(base_LIBS)

check_PROGRAMS += tests/unit/scheduler/test_scheduler
tests_unit_scheduler_test_scheduler_SOURCES = tests/unit/scheduler/test_plan.c $(STATIC_NSS)
tests_unit_scheduler_test_scheduler_LDADD = libtap.a $(scheduler_LIBS)

check_PROGRAMS += tests/unit/apiserver/test_apiserver
tests_unit_apiserver_test_apiserver_SOURCES = \
	tests/unit/apiserver/test_admission.c \
	tests/unit/apiserver/test_custom.c \
	tests/unit/apiserver/test_definitions.c \
	tests/unit/apiserver/test_pure.c \
	tests/unit/apiserver/test_remote.c \
	tests/unit/apiserver/test_versions.c \
	tests/unit/apiserver/world.c tests/unit/apiserver/world.h \
	$(STATIC_NSS)
tests_unit_apiserver_test_apiserver_LDADD = libtap.a $(client_LIBS) $(apiserver_LIBS) $(api_LIBS) $(http_LIBS) $(store_LIBS) $(loop_LIBS)
