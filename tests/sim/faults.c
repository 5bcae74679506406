#include "tests/sim/faults.h"

#include <stdlib.h>

struct call {
	struct list link;
	struct faults *faults;
	void *inner;
	void (*done)(void *arg, struct api_reply *reply);
	void *arg;
	bool creates;
};

struct watch {
	struct list link;
	struct faults *faults;
	void *inner; /* NULL: dropped */
	struct api_watch theirs;
	struct loop_call drop;
	bool dropped;
};

static bool happens(unsigned permille)
{
	return permille != 0 && rand_below(1000) < permille;
}

/* --- calls --- */

static void answered(void *arg, struct api_reply *reply)
{
	struct call *call = arg;
	struct faults *faults = call->faults;
	struct api_reply lost = { 0 };

	if (call->creates && reply->err == NULL)
		faults->created++;
	list_remove(&call->link);
	if (happens(faults->lose_permille)) {
		faults->losses++;
		lost.err = error_new(ERR_UNAVAILABLE, "the answer was lost");
		reply = &lost;
	}
	call->done(call->arg, reply);
	error_free(lost.err);
	free(call);
}

static void nobody_hears(void *arg, struct api_reply *reply)
{
	(void)arg;
	(void)reply;
}

static void *face_call(void *transport, const struct api_call *theirs)
{
	struct faults *faults = transport;
	struct call *call = xcalloc(1, sizeof(*call));
	struct api_call mine = *theirs;

	call->faults = faults;
	call->done = theirs->done;
	call->arg = theirs->arg;
	call->creates = theirs->verb == VERB_CREATE && theirs->subresource.len == 0;
	list_push(&faults->calls, &call->link);
	mine.done = answered;
	mine.arg = call;
	call->inner = faults->inner->call(faults->inner->arg, &mine);
	if (call->creates && happens(faults->plant_double_write)) {
		mine.done = nobody_hears;
		faults->inner->call(faults->inner->arg, &mine);
	}
	return call;
}

static void face_cancel(void *transport, void *handle)
{
	struct faults *faults = transport;
	struct call *call = handle;

	faults->unknown += call->creates;
	faults->inner->cancel(faults->inner->arg, call->inner);
	list_remove(&call->link);
	free(call);
}

/* --- watches --- */

static void drop(void *arg)
{
	struct watch *watch = arg;

	watch->faults->inner->watch_close(watch->faults->inner->arg, watch->inner);
	watch->inner = NULL;
	watch->theirs.ended(watch->theirs.arg, error_new(ERR_UNAVAILABLE, "the watch was dropped"));
}

static void on_event(void *arg, const struct api_event *event)
{
	struct watch *watch = arg;
	struct faults *faults = watch->faults;

	if (watch->dropped)
		return;
	if (happens(faults->drop_permille)) {
		faults->drops++;
		watch->dropped = true;
		loop_call_soon(&watch->drop, drop, watch);
		return;
	}
	if ((event->type == API_ADDED || event->type == API_MODIFIED) && happens(faults->plant_lost_wakeup))
		return;
	watch->theirs.event(watch->theirs.arg, event);
}

static void on_ended(void *arg, struct error *err)
{
	struct watch *watch = arg;

	if (watch->dropped)
		error_free(err); /* told already */
	else
		watch->theirs.ended(watch->theirs.arg, err);
}

static void *face_watch(void *transport, const struct api_watch *theirs)
{
	struct faults *faults = transport;
	struct watch *watch = xcalloc(1, sizeof(*watch));
	struct api_watch mine = *theirs;

	watch->faults = faults;
	watch->theirs = *theirs; /* of which only the callbacks are used later */
	list_push(&faults->watches, &watch->link);
	mine.event = on_event;
	mine.ended = on_ended;
	mine.arg = watch;
	watch->inner = faults->inner->watch(faults->inner->arg, &mine);
	return watch;
}

static void face_watch_close(void *transport, void *handle)
{
	struct faults *faults = transport;
	struct watch *watch = handle;

	loop_call_cancel(&watch->drop);
	if (watch->inner != NULL)
		faults->inner->watch_close(faults->inner->arg, watch->inner);
	list_remove(&watch->link);
	free(watch);
}

void faults_init(struct faults *faults, const struct api_transport *inner)
{
	*faults = (struct faults){ .face = { face_call, face_cancel, face_watch, face_watch_close, faults }, .inner = inner };
	list_init(&faults->calls);
	list_init(&faults->watches);
}

void faults_off(struct faults *faults)
{
	faults->drop_permille = faults->lose_permille = faults->plant_lost_wakeup = faults->plant_double_write = 0;
}
