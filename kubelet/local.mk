noinst_LIBRARIES += libkubelet.a
libkubelet_a_SOURCES = \
	kubelet/action.c \
	kubelet/admit.c \
	kubelet/dial.c \
	kubelet/env.c \
	kubelet/exec.c \
	kubelet/files.c \
	kubelet/forward.c \
	kubelet/found.c \
	kubelet/kubelet.c kubelet/kubelet.h kubelet/private.h \
	kubelet/link.c \
	kubelet/logs.c kubelet/logs.h \
	kubelet/network.c \
	kubelet/node_object.c \
	kubelet/payload.c \
	kubelet/plan.c kubelet/plan.h \
	kubelet/pod.c \
	kubelet/probe.c \
	kubelet/remote.c kubelet/remote.h \
	kubelet/serve.c \
	kubelet/spec.c \
	kubelet/start.c \
	kubelet/status.c \
	kubelet/status_write.c \
	kubelet/stop.c \
	kubelet/volumes.c
kubelet_LIBS = libkubelet.a $(client_LIBS) $(image_LIBS) $(runtime_LIBS) $(netns_LIBS)

check_PROGRAMS += tests/unit/kubelet/test_kubelet
tests_unit_kubelet_test_kubelet_SOURCES = tests/unit/kubelet/test_plan.c tests/unit/kubelet/test_pure.c $(LIBC_PARTS)
tests_unit_kubelet_test_kubelet_LDADD = libtap.a $(kubelet_LIBS)
