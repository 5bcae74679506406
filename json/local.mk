noinst_LIBRARIES += libjson.a
libjson_a_SOURCES = \
	json/draft.c \
	json/explain.c json/private.h \
	json/json.h \
	json/patch.c \
	json/read.c \
	json/utf8.c json/utf8.h \
	json/value.c \
	json/write.c \
	json/yaml.c
json_LIBS = libjson.a $(base_LIBS)

check_PROGRAMS += tests/unit/json/test_json
tests_unit_json_test_json_SOURCES = \
	tests/unit/json/test_patch.c \
	tests/unit/json/test_read.c \
	tests/unit/json/test_value.c \
	tests/unit/json/test_write.c \
	tests/unit/json/test_yaml.c \
	$(LIBC_PARTS)
tests_unit_json_test_json_LDADD = libtap.a $(json_LIBS)
