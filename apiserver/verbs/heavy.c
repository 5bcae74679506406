/*
 * Requests that are large, or about something large: their pure steps take longer than a turn of the loop may, so they run on
 * a thread. What such a step sees is the request, which nobody else touches meanwhile, and trees that never change; it makes
 * things on the request's arena. Looking into the store and telling the client are the loop's.
 *
 * Kinds that are described at run time stay on the loop: their description may change at any time.
 */
#include "apiserver/verbs/verbs.h"

bool is_heavy(const struct request *req)
{
	size_t size = req->body.len;

	if (custom_of(req->route.kind) != NULL)
		return false;
	if (req->old != NULL)
		size += req->old->bytes->len;
	/* What little text becomes may be a lot: `{},{},…`. */
	return size > LIMIT_AT_ONCE || arena_size(req->arena) > 16 * LIMIT_AT_ONCE;
}

enum task_result step_pure(struct task *task, struct request *req, struct error *(*work)(void *req))
{
	struct error *err;

	if (is_heavy(req))
		return task_job(task, NULL, work, req);
	err = work(req);
	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

/* --- how large an object may be --- */

/* What carries an object into etcd besides: the comparison of its version, and of an update the read of what was there. Their
 * fields take up so much without the key. etcdserverpb.TxnRequest. */
#define TXN_BYTES        25
#define TXN_UPDATE_BYTES 5

static size_t request_size(const struct request *req, size_t value)
{
	static const char root[] = "/registry/";
	size_t key = strlen(root) + req->route.resource.len + 1 + req->route.ns.len + (req->route.ns.len != 0) +
		     meta_str(req->tree, "name").len;

	return value + 2 * key + TXN_BYTES + (req->old != NULL || is_apply(req) ? key + TXN_UPDATE_BYTES : 0);
}

/* Upstream's store takes no more, as protobuf where the kind has that; its words. */
struct error *check_size(const struct request *req, struct object *object)
{
	size_t size = object_stored(object)->len;

	if (size <= LIMIT_OBJECT)
		return NULL;
	if (custom_of(req->route.kind) == NULL) {
		AUTO_BUF struct buf proto = { 0 };

		api_write_proto(&proto, kind_type(req->route.kind), req->tree);
		size = proto.len;
	}
	size = request_size(req, size);
	if (size <= LIMIT_OBJECT)
		return NULL;
	if (size <= LIMIT_OBJECT_MESSAGE)
		return error_new(ERR_PLAIN, "etcdserver: request is too large");
	return error_new(ERR_PLAIN,
			 "rpc error: code = ResourceExhausted desc = trying to send message larger than max (%zu vs. %d)", size,
			 LIMIT_OBJECT_MESSAGE);
}
