noinst_LIBRARIES += libproto.a
libproto_a_SOURCES = proto/proto.h proto/wire.c
proto_LIBS = libproto.a $(base_LIBS)

check_PROGRAMS += tests/unit/proto/test_proto
tests_unit_proto_test_proto_SOURCES = tests/unit/proto/test_wire.c $(LIBC_PARTS)
tests_unit_proto_test_proto_LDADD = libtap.a $(proto_LIBS)
