KINDS = \
	api/kinds/groups.kinds \
	api/kinds/meta.kinds \
	api/kinds/core.kinds \
	api/kinds/admission.kinds \
	api/kinds/admissionregistration.kinds \
	api/kinds/apidiscovery.kinds \
	api/kinds/apiextensions.kinds \
	api/kinds/apiregistration.kinds \
	api/kinds/apps.kinds \
	api/kinds/authentication.kinds \
	api/kinds/authorization.kinds \
	api/kinds/autoscaling.kinds \
	api/kinds/batch.kinds \
	api/kinds/certificates.kinds \
	api/kinds/coordination.kinds \
	api/kinds/discovery.kinds \
	api/kinds/events.kinds \
	api/kinds/flowcontrol.kinds \
	api/kinds/networking.kinds \
	api/kinds/node.kinds \
	api/kinds/policy.kinds \
	api/kinds/rbac.kinds \
	api/kinds/resource.kinds \
	api/kinds/scheduling.kinds \
	api/kinds/storage.kinds
EXTRA_DIST += $(KINDS)

# The compiler of the catalogue runs at build time only.
noinst_PROGRAMS += api/kindsc
api_kindsc_SOURCES = api/kindsc.c api/layout.c api/layout.h api/schema.h $(LIBC_PARTS)
api_kindsc_LDADD = $(base_LIBS)

api/catalog.c: api/kindsc$(EXEEXT) $(KINDS)
	$(AM_V_GEN)$(MKDIR_P) api && api/kindsc$(EXEEXT) api/catalog.c api/catalog_hooks.h `for f in $(KINDS); do echo $(top_srcdir)/$$f; done`
api/catalog_hooks.h: api/catalog.c
	@test -f $@ || { rm -f api/catalog.c; $(MAKE) api/catalog.c; }
CLEANFILES += api/catalog.c api/catalog_hooks.h

# Public headers: api/api.h (the walker), api/schema.h (the catalogue), api/object.h, api/quantity.h, api/selector.h,
# api/names.h, api/apply.h, api/convert.h, api/call.h.
noinst_LIBRARIES += libapi.a
nodist_libapi_a_SOURCES = api/catalog.c
libapi_a_SOURCES = \
	api/api.h api/check.h api/rules.h api/check_pod.h api/hooks.h api/private.h api/walk.h \
	api/apply.c api/apply.h \
	api/check.c \
	api/convert.c api/convert.h \
	api/convert_autoscaler.c \
	api/custom.c api/custom.h \
	api/custom_check.c \
	api/custom_walk.c \
	api/decode.c \
	api/differ.c \
	api/defaults.c \
	api/discovery.c \
	api/fieldset.c api/fieldset.h \
	api/findings.c \
	api/jsonpath.c api/jsonpath.h \
	api/layout.c api/layout.h \
	api/leaf.c \
	api/names.c api/names.h \
	api/object.c api/object.h \
	api/openapi.c api/openapi.h \
	api/openapi_custom.c \
	api/openapi_proto.c \
	api/openapi_schema.c \
	api/pattern.c \
	api/print.c \
	api/proto.c \
	api/quantity.c api/quantity.h \
	api/rules.c api/rules_batch.c api/rules_control.c api/rules_devices.c api/rules_quota.c api/rules_rest.c api/rules_status.c api/rules_update.c api/rules_work.c \
	api/schema.c api/schema.h \
	api/shown.c \
	api/selector.c api/selector.h \
	api/strategic.c \
	api/validate.c \
	api/validate_container.c \
	api/validate_core.c \
	api/validate_definition.c \
	api/validate_event.c \
	api/validate_pod.c \
	api/validate_status.c \
	api/validate_volume.c \
	api/warnings.c \
	api/warnings_pod.c
api/defaults.$(OBJEXT) api/print.$(OBJEXT) api/validate.$(OBJEXT) api/validate_core.$(OBJEXT) api/validate_definition.$(OBJEXT) \
	api/validate_event.$(OBJEXT) api/validate_pod.$(OBJEXT) api/rules_batch.$(OBJEXT) api/rules_control.$(OBJEXT) \
	api/rules_devices.$(OBJEXT) api/rules_quota.$(OBJEXT) api/rules_rest.$(OBJEXT) api/rules_work.$(OBJEXT): \
	api/catalog_hooks.h
api_LIBS = libapi.a libjson.a libproto.a $(base_LIBS)

check_PROGRAMS += tests/unit/api/test_api
tests_unit_api_test_api_SOURCES = \
	tests/unit/api/test_catalog.c \
	tests/unit/api/test_decode.c \
	tests/unit/api/test_defaults.c \
	tests/unit/api/test_discovery.c \
	tests/unit/api/test_object.c \
	tests/unit/api/test_apply.c \
	tests/unit/api/test_convert.c \
	tests/unit/api/test_custom.c \
	tests/unit/api/test_openapi.c \
	tests/unit/api/test_random.c \
	tests/unit/api/test_print.c \
	tests/unit/api/test_quantity.c \
	tests/unit/api/test_roundtrip.c \
	tests/unit/api/test_selector.c \
	tests/unit/api/test_strategic.c \
	tests/unit/api/test_validate.c \
	tests/unit/api/vectors.c tests/unit/api/vectors.h \
	$(LIBC_PARTS)
tests_unit_api_test_api_CPPFLAGS = $(AM_CPPFLAGS) -DTEST_DATA='"$(abs_top_srcdir)/tests/data/api-v1.36"'
tests_unit_api_test_api_LDADD = libtap.a $(api_LIBS)
