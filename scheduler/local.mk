noinst_LIBRARIES += libscheduler.a
libscheduler_a_SOURCES = \
	scheduler/plan.c scheduler/plan.h \
	scheduler/scheduler.c scheduler/scheduler.h
scheduler_LIBS = libscheduler.a $(client_LIBS)
