noinst_LIBRARIES += libimage.a
libimage_a_SOURCES = \
	image/config.c \
	image/digest.c \
	image/file.c \
	image/filters.c \
	image/hello.c \
	image/image.h image/private.h \
	image/load.c \
	image/ref.c \
	image/store.c \
	image/unpack.c
image_LIBS = libimage.a $(json_LIBS)

check_PROGRAMS += tests/unit/image/test_image
tests_unit_image_test_image_SOURCES = \
	tests/unit/image/test_image.c \
	tests/unit/image/test_ref.c \
	$(LIBC_PARTS)
tests_unit_image_test_image_LDADD = libtap.a $(image_LIBS)
