noinst_LIBRARIES += libruntime.a
libruntime_a_SOURCES = \
	runtime/caps.c runtime/caps.h \
	runtime/cgroup.c runtime/cgroup.h runtime/cgroup_private.h \
	runtime/cgroup1.c runtime/cgroup2.c runtime/cgroup_bpf.c \
	runtime/conn.c runtime/conn.h \
	runtime/container.c runtime/container.h \
	runtime/devices.c \
	runtime/files.c runtime/files.h \
	runtime/log_frame.c runtime/log_frame.h \
	runtime/messages.c \
	runtime/mounts.c runtime/mounts.h \
	runtime/node.c runtime/node.h runtime/node_ops.def runtime/node_private.h \
	runtime/node_client.c \
	runtime/node_container.c \
	runtime/node_create.c \
	runtime/node_exec.c \
	runtime/node_files.c \
	runtime/node_layers.c \
	runtime/node_records.c runtime/node_records.h \
	runtime/node_root.c \
	runtime/node_sandbox.c \
	runtime/node_skeleton.c \
	runtime/node_start.c \
	runtime/node_stream.c \
	runtime/oci.c runtime/oci.h runtime/oci_spec.c \
	runtime/process.c runtime/process.h \
	runtime/runtime.h \
	runtime/seccomp.c runtime/seccomp.h \
	runtime/spec.c \
	runtime/user.c runtime/user.h \
	runtime/wire.c runtime/wire.h
# Public headers: runtime/runtime.h (what a container is) and runtime/node.h (the node process).
runtime_LIBS = libruntime.a $(json_LIBS)

# The two programs without the rest of monokube, for tests and measurements.
noinst_PROGRAMS += tests/unit/runtime/driver
tests_unit_runtime_driver_SOURCES = tests/unit/runtime/driver.c $(LIBC_PARTS)
tests_unit_runtime_driver_LDADD = $(runtime_LIBS)

check_PROGRAMS += tests/unit/runtime/test_runtime
tests_unit_runtime_test_runtime_SOURCES = \
	tests/unit/runtime/test_pure.c \
	tests/unit/runtime/test_node.c \
	tests/unit/runtime/test_oci.c \
	tests/unit/runtime/test_streams.c \
	tests/unit/runtime/fixture.c tests/unit/runtime/fixture.h \
	$(LIBC_PARTS)
tests_unit_runtime_test_runtime_LDADD = libtap.a $(runtime_LIBS)
tests_unit_runtime_test_runtime_DEPENDENCIES = tests/unit/runtime/driver$(EXEEXT) libtap.a $(runtime_LIBS)
