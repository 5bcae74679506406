/* The one place where the API server writes to the store. */
#include "apiserver/verbs/verbs.h"

struct commit_wait {
	struct request *req;
	struct task *task;
	struct object *object; /* what is being written; NULL: a removal */
};

static void committed(void *arg, struct error *err, const struct store_result *result)
{
	struct commit_wait *wait = arg;
	struct request *req = wait->req;

	if (err == NULL && wait->object != NULL && result->values[0] != NULL)
		req->object = value_served(req->arena, req->route.kind, result->values[0]);
	task_wake(wait->task, err);
}

static bool lease_is_renewed(const struct request *req)
{
	const struct json *a = req->tree, *b = req->old_tree;

	return json_equal(json_path(a, "spec.holderIdentity"), json_path(b, "spec.holderIdentity")) &&
	       json_equal(json_path(a, "spec.leaseTransitions"), json_path(b, "spec.leaseTransitions")) &&
	       json_equal(json_path(a, "metadata.labels"), json_path(b, "metadata.labels")) &&
	       json_equal(json_path(a, "metadata.ownerReferences"), json_path(b, "metadata.ownerReferences"));
}

/* A node without what changes when nothing does. */
static const struct json *without_beat(struct arena *arena, const struct json *node)
{
	struct json_builder conditions = { .arena = arena };

	JSON_EACH (json_path(node, "status.conditions"), it)
		json_builder_item(&conditions, json_with(arena, it.value, "lastHeartbeatTime", NULL));
	node = json_with_path(arena, node, "status.conditions", json_builder_array(&conditions));
	node = json_with_path(arena, node, "metadata.managedFields", NULL);
	return json_with_path(arena, node, "metadata.resourceVersion", NULL);
}

/* A renewal of a Lease, or of a node's unchanged status, may be lost in a crash (architecture.md §2). */
static bool is_renewal(const struct request *req)
{
	const struct kind *kind = req->route.kind;

	if (req->old == NULL)
		return false;
	if (str_is(kind_resource(kind), "leases") && str_is(kind_group(kind), "coordination.k8s.io"))
		return lease_is_renewed(req);
	return str_is(kind_resource(kind), "nodes") && kind_group(kind).len == 0 && str_is(req->route.subresource, "status") &&
	       json_equal(without_beat(req->arena, req->tree), without_beat(req->arena, req->old_tree));
}

/* An object of its own arena: it outlives the request. */
static struct object *lasting_object(struct request *req, const struct json *tree)
{
	struct arena *arena = arena_new();
	const struct kind *stored = kind_stored_as(req->route.kind);
	const struct json *copy = json_copy(arena, tree);
	struct object *object;

	if (stored == req->route.kind)
		return object_new(stored, arena, copy, 0);
	object = object_new(req->route.kind, arena, copy, 0);
	struct object *converted = object_convert(object, stored);

	object_unref(object);
	return converted;
}

static struct error *exists_error(struct request *req, struct str name)
{
	struct str resource = resource_text(req->arena, req->route.kind);
	bool made = meta_str(req->input, "generateName").len != 0;
	struct error *err = error_new(ERR_EXISTS, "%.*s \"%.*s\" already exists%s", STR_ARG(resource), STR_ARG(name),
				      made ? ", the server was not able to generate a unique name for the object" : "");

	if (made)
		err->retry_after = 1;

	return error_about(err, kind_group(req->route.kind), kind_resource(req->route.kind), name);
}

static bool retries(struct request *req, const struct error *err)
{
	/* Someone else wrote between our read and our commit: an unconditional write tries again, until its deadline. Each
	 * time somebody's write did happen, so all get through. */
	if (err->kind != ERR_CONFLICT || req->old == NULL)
		return false;
	req->attempts++;
	return true;
}

static struct error *say(struct request *req, struct error *err, struct str name)
{
	struct str resource = resource_text(req->arena, req->route.kind);
	enum error_kind kind = err->kind;

	if (kind != ERR_EXISTS && kind != ERR_CONFLICT && kind != ERR_NOT_FOUND)
		return err;
	error_free(err);
	if (kind == ERR_EXISTS)
		return exists_error(req, name);
	if (kind == ERR_NOT_FOUND)
		return error_not_found(req->route.kind, name);
	return error_new(ERR_CONFLICT,
			 "Operation cannot be fulfilled on %.*s \"%.*s\": the object has been modified; "
			 "please apply your changes to the latest version and try again",
			 STR_ARG(resource), STR_ARG(name));
}

/* A dry run writes nothing, so it may be as large as it likes. */
struct error *make_lasting(void *arg)
{
	struct request *req = arg;

	struct error *err;

	req->tree = api_as_kept(req->arena, kind_type(req->route.kind), req->tree);
	req->made = object_owned(req->arena, lasting_object(req, req->tree));
	if (req->query.dry_run)
		return NULL;
	err = check_size(req, req->made);
	if (err == NULL || is_apply(req) || json_path(req->tree, "metadata.managedFields") == NULL)
		return err;
	/* Who owns what may be as large as the object: k8s.io/apiserver/pkg/endpoints/handlers/create.go. */
	error_free(err);
	req->tree = with(req, req->tree, "metadata.managedFields", NULL);
	req->made = object_owned(req->arena, lasting_object(req, req->tree));
	return check_size(req, req->made);
}

/* Dry run: everything but the commit. The object shows no revision of its own. */
static enum task_result pretend(struct request *req)
{
	struct object *object = req->made;
	uint64_t revision = 0;

	if (req->old != NULL)
		revision = req->old->revision;
	else
		str_to_u64(meta_str(req->input, "resourceVersion"), &revision);
	req->object = object_owned(req->arena, object_with_revision(object, revision));
	if (kind_stored_as(req->route.kind) != req->route.kind)
		req->object = object_owned(req->arena, object_convert(req->object, req->route.kind));
	return TASK_NEXT;
}

/* Operations that go with the first: undone with it, since a commit is all or none. */
void commit_also_put(struct request *req, const struct kind *kind, struct str ns, struct str name, const struct json *tree,
		     uint64_t expect)
{
	struct arena *arena = arena_new();
	struct object *object = object_new(kind, arena, json_copy(arena, tree), 0);
	struct store_op op = { .kind = STORE_PUT, .expect = expect };

	op.key = object_key(req->arena, kind, ns, name);
	op.data = bytes_str(object_stored(object_owned(req->arena, object)));
	vec_push(&req->also, op);
}

void commit_also_delete(struct request *req, const struct kind *kind, struct str ns, struct str name)
{
	struct store_op op = { .kind = STORE_DELETE, .expect = STORE_ANY };

	op.key = object_key(req->arena, kind, ns, name);
	if (store_latest(req->server->options.store, op.key) != NULL)
		vec_push(&req->also, op);
}

static enum task_result submit(struct task *task, struct request *req, struct store_op *op, struct commit_wait *wait,
			       struct str name)
{
	struct store_op *ops = ARENA_ARRAY(req->arena, struct store_op, 1 + req->also.len);
	struct error *err;

	ops[0] = *op;
	for (size_t i = 0; i < req->also.len; i++)
		ops[i + 1] = req->also.ptr[i];
	task_hold(task);
	err = store_commit(req->server->options.store, &(struct store_commit){
							       .ops = ops,
							       .n_ops = 1 + req->also.len,
							       .actor = req->user.name,
							       .cause = req->cause,
							       .renewal = op->kind == STORE_PUT && is_renewal(req),
							       .done = committed,
							       .arg = wait,
						       });
	if (err == NULL)
		return TASK_WAIT;
	if (wait->object != NULL)
		object_unref(wait->object);
	if (retries(req, err)) {
		error_free(err);
		task_wake(task, NULL);
		return task_goto(task, step_read_old);
	}
	task_wake(task, say(req, err, name));
	return TASK_WAIT;
}

enum task_result commit_tree(struct task *task, struct request *req)
{
	struct str name = meta_str(req->tree, "name");
	struct commit_wait *wait = ARENA_NEW(req->arena, struct commit_wait);
	struct error *err;
	struct store_op op = { .kind = STORE_PUT, .expect = req->old != NULL ? req->old->revision : 0 };

	/* It stopped being served while this waited: nothing may be written that nobody would find. */
	if (kind_is_gone(req->route.kind))
		return task_fail(task, error_about(error_new(ERR_NOT_FOUND, "the server could not find the requested resource"),
						   STR(""), STR(""), STR("")));
	err = req->made == NULL ? make_lasting(req) : NULL;
	if (err != NULL)
		return task_fail(task, err);
	op.key = object_key(req->arena, req->route.kind, req->route.ns, name);
	if (req->query.dry_run) {
		if (req->old == NULL && store_latest(req->server->options.store, op.key) != NULL)
			return task_fail(task, exists_error(req, name));
		return pretend(req);
	}
	*wait = (struct commit_wait){ req, task, object_ref(req->made) };
	op.bytes = object_stored(wait->object);
	op.attachment = wait->object;
	op.attachment_free = object_release;
	return submit(task, req, &op, wait, name);
}

enum task_result commit_removal(struct task *task, struct request *req)
{
	struct commit_wait *wait = ARENA_NEW(req->arena, struct commit_wait);
	struct store_op op = { .kind = STORE_DELETE, .expect = req->old->revision };

	op.key = object_key(req->arena, req->route.kind, req->route.ns, meta_str(req->old_tree, "name"));
	req->object = value_served(req->arena, req->route.kind, req->old);
	/* An update that took the last finalizer shows what it made. */
	if (req->tree != NULL && kind_stored_as(req->route.kind) == req->route.kind) {
		struct object *last = lasting_object(req, req->tree);

		req->object = object_owned(req->arena, object_with_revision(last, req->old->revision));
		object_unref(last);
	}
	if (req->query.dry_run)
		return TASK_NEXT;
	*wait = (struct commit_wait){ req, task, NULL };
	return submit(task, req, &op, wait, meta_str(req->old_tree, "name"));
}
