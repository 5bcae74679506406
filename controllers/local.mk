noinst_LIBRARIES += libcontrollers.a
libcontrollers_a_SOURCES = \
	controllers/controllers.c controllers/controllers.h controllers/private.h \
	controllers/deployment.c controllers/deployment.h \
	controllers/deployment_status.c \
	controllers/emptying.c \
	controllers/endpoints.c \
	controllers/garbage.c \
	controllers/load_balancer.c \
	controllers/mirror.c \
	controllers/namespace.c \
	controllers/nodes.c \
	controllers/protection.c \
	controllers/replicaset.c \
	controllers/slices.c
controllers_LIBS = libcontrollers.a $(client_LIBS)
