noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	base/arena.c base/arena.h \
	base/auto.c base/auto.h \
	base/base.h \
	base/buf.c base/buf.h \
	base/clock.c base/clock.h \
	base/codec.c base/codec.h \
	base/error.c base/error.h base/errkinds.def \
	base/file.c base/file.h \
	base/fsm.c base/fsm.h \
	base/ip.c base/ip.h \
	base/limits.h base/list.h \
	base/log.c base/log.h \
	base/map.c base/map.h \
	base/places.c base/places.h \
	base/rand.c \
	base/str.c base/str.h \
	base/trace.c base/trace.h \
	base/tree.c base/tree.h \
	base/vec.c base/vec.h
base_LIBS = libbase.a

check_PROGRAMS += tests/unit/base/test_base
tests_unit_base_test_base_SOURCES = \
	tests/unit/base/test_arena.c \
	tests/unit/base/test_file.c \
	tests/unit/base/test_text.c \
	tests/unit/base/test_tree.c \
	$(LIBC_PARTS)
tests_unit_base_test_base_LDADD = libtap.a $(base_LIBS)
