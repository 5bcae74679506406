noinst_LIBRARIES += libstore.a
libstore_a_SOURCES = \
	store/engine_memory.c \
	store/engine_sqlite.c \
	store/private.h \
	store/sqlite.c store/sqlite.h \
	store/sqlite_copy.c \
	store/sqlite_load.c \
	store/sqlite_parts.c \
	store/store.c store/store.h \
	store/value.c \
	store/version.c \
	store/watch.c \
	store/window.c
store_LIBS = libstore.a $(loop_LIBS)

check_PROGRAMS += tests/unit/store/test_store
tests_unit_store_test_store_SOURCES = \
	tests/unit/store/fault_vfs.c tests/unit/store/fault_vfs.h \
	tests/unit/store/test_crash.c \
	tests/unit/store/test_model.c \
	tests/unit/store/test_sqlite.c \
	tests/unit/store/test_store.c \
	tests/unit/store/world.c tests/unit/store/world.h \
	$(LIBC_PARTS)
tests_unit_store_test_store_LDADD = libtap.a $(store_LIBS)
