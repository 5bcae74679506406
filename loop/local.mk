# Public headers: loop.h and the two it includes, task.h and stream.h.
noinst_LIBRARIES += libloop.a
libloop_a_SOURCES = \
	loop/group.c \
	loop/job.c \
	loop/loop.c loop/loop.h loop/private.h \
	loop/poll.c \
	loop/process.c \
	loop/pump.c loop/pump.h \
	loop/sim.c \
	loop/stream.c loop/stream.h \
	loop/stream_net.c \
	loop/stream_pair.c \
	loop/task.c loop/task.h \
	loop/timer.c \
	loop/turn.c
loop_LIBS = libloop.a $(base_LIBS)

check_PROGRAMS += tests/unit/loop/test_loop
tests_unit_loop_test_loop_SOURCES = \
	tests/unit/loop/test_loop.c \
	tests/unit/loop/test_stream.c \
	tests/unit/loop/test_task.c \
	tests/unit/loop/test_turn.c \
	$(LIBC_PARTS)
tests_unit_loop_test_loop_LDADD = libtap.a $(loop_LIBS)
