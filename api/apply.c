#include "api/apply.h"

#include <stdlib.h>

#include "api/api.h"
#include "api/fieldset.h"

struct manager {
	struct str name, operation, version, time, subresource;
	struct fieldset *set;    /* NULL: gone */
	struct manager *joining; /* the next of those that become one; see managers_cap() */
};

struct managers {
	struct arena *arena;
	struct manager *items;
	size_t len;
};

static const struct type *type_of(const struct api_manager *me)
{
	return me->type != NULL ? me->type : kind_type(me->kind);
}

static struct str version_of(struct arena *arena, const struct api_manager *me)
{
	if (me->type == NULL)
		return kind_api_version(me->kind);
	return str_format(arena, "%.*s/%.*s", STR_ARG(type_group(me->type)), STR_ARG(type_version(me->type)));
}

/* ---- managedFields ---- */

static struct managers managers_read(struct arena *arena, const struct json *list)
{
	struct managers all = { .arena = arena, .items = ARENA_ARRAY(arena, struct manager, json_len(list) + 1) };

	JSON_EACH (list, it) {
		struct manager *m = &all.items[all.len];
		*m = (struct manager){ json_get_str(it.value, "manager"),
				       json_get_str(it.value, "operation"),
				       json_get_str(it.value, "apiVersion"),
				       json_get_str(it.value, "time"),
				       json_get_str(it.value, "subresource"),
				       fieldset_read(arena, json_get(it.value, "fieldsV1")),
				       NULL };
		if (m->operation.len != 0)
			all.len++;
	}
	return all;
}

static int by_age(const void *a, const void *b)
{
	const struct manager *x = a, *y = b;
	const struct str xs[] = { x->operation, x->time, x->name, x->version, x->subresource };
	const struct str ys[] = { y->operation, y->time, y->name, y->version, y->subresource };

	for (size_t i = 0; i < sizeof(xs) / sizeof(xs[0]); i++) {
		int order = str_cmp(xs[i], ys[i]);
		if (order != 0)
			return order;
	}
	return 0;
}

static const struct json *text(struct arena *arena, struct str s)
{
	return s.len == 0 ? NULL : json_string(arena, s);
}

static const struct json *managers_json(struct managers *all)
{
	struct json_builder list = { .arena = all->arena };
	struct arena *arena = all->arena;

	qsort(all->items, all->len, sizeof(*all->items), by_age);
	for (size_t i = 0; i < all->len; i++) {
		const struct manager *m = &all->items[i];
		if (fieldset_empty(m->set))
			continue;
		json_builder_item(&list, JSON_OBJECT_OF(arena, { "manager", text(arena, m->name) },
							{ "operation", text(arena, m->operation) },
							{ "apiVersion", text(arena, m->version) }, { "time", text(arena, m->time) },
							{ "fieldsType", json_text(arena, "FieldsV1") },
							{ "fieldsV1", fieldset_json(arena, m->set) },
							{ "subresource", text(arena, m->subresource) }));
	}
	return list.len == 0 ? NULL : json_builder_array(&list);
}

/* Whoever applies is the same in every version; whoever updates is another in each. */
static struct manager *manager_find(struct managers *all, const struct api_manager *me, bool applies)
{
	for (size_t i = 0; i < all->len; i++) {
		struct manager *m = &all->items[i];
		if (str_is(m->operation, applies ? "Apply" : "Update") && str_eq(m->name, me->name) &&
		    str_eq(m->subresource, me->subresource) && (applies || str_eq(m->version, version_of(all->arena, me))))
			return m;
	}
	return NULL;
}

static struct manager *manager_must(struct managers *all, const struct api_manager *me, bool applies)
{
	struct manager *m = manager_find(all, me, applies);

	if (m != NULL)
		return m;
	m = &all->items[all->len++]; /* room for one more was made when they were read */
	*m = (struct manager){ .name = me->name,
			       .operation = applies ? STR("Apply") : STR("Update"),
			       .subresource = me->subresource };
	return m;
}

/* What nobody owns, because every object has it or the server sets it. */
static struct fieldset *stripped(struct arena *arena, const struct api_manager *me, struct fieldset *set)
{
	static const char *const never[] = {
		"apiVersion",        "kind",         "metadata.name",       "metadata.namespace",     "metadata.creationTimestamp",
		"metadata.selfLink", "metadata.uid", "metadata.generation", "metadata.managedFields", "metadata.resourceVersion"
	};

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		set = fieldset_without_path(arena, set, never[i]);
	for (size_t i = 0; i < set->len; i++)
		if (str_is(set->entries[i].name, "f:metadata"))
			set->entries[i].member = false;
	if (str_is(me->subresource, "status"))
		set = fieldset_without_path(arena, set, "spec");
	else if ((me->subresource.len == 0 || str_is(me->subresource, "finalize")) && me->type == NULL &&
		 kind_subresource(me->kind, STR("status")) != NULL)
		set = fieldset_without_path(arena, set, "status");
	/* Whose spec nobody may change. */
	if (me->type == NULL && str_is(kind_name(me->kind), "CertificateSigningRequest"))
		set = fieldset_without_path(arena, set, "spec");
	return fieldset_without(arena, set, NULL); /* drops what has become empty */
}

static const struct json *without_managers(struct arena *arena, const struct api_manager *me, const struct json *tree)
{
	return api_with(arena, type_of(me), tree, "metadata.managedFields", NULL);
}

/* An object of which nothing is known yet. */
static const struct json *nothing(struct arena *arena, const struct api_manager *me)
{
	const struct json *tree = NULL;
	AUTO_ERROR err = api_normalize(arena, type_of(me), &json_empty_object, NULL, &tree);

	if (err != NULL)
		return &json_empty_object;
	return me->type != NULL ? tree : api_with_kind(arena, tree, me->kind);
}

/* Nobody else owns what this write sets; nobody at all what is no longer there. */
static void take_from_others(struct managers *all, const struct manager *mine, const struct comparison *c)
{
	struct fieldset *taken = fieldset_union(all->arena, c->modified, c->added);

	for (size_t i = 0; i < all->len; i++) {
		struct manager *m = &all->items[i];
		if (m != mine)
			m->set = fieldset_without(all->arena,
						  fieldset_without(all->arena, m->set, fieldset_both(all->arena, m->set, taken)),
						  c->removed);
	}
}

/* ---- too many ---- */

#define MOST_UPDATERS 10

/* The first of a chain gets what all of it own; the others go. sets: room for as many as there are managers. */
static void join(struct managers *all, struct manager *first, const struct fieldset **sets)
{
	size_t n = 0;

	for (struct manager *m = first, *next; m != NULL; m = next) {
		next = m->joining;
		sets[n++] = m->set;
		m->joining = NULL;
		m->set = NULL;
	}
	first->set = fieldset_union_all(all->arena, sets, n);
}

/* The oldest updaters of a version become one, "ancient-changes", until few enough are left. */
static void managers_cap(struct managers *all)
{
	const struct fieldset **sets = ARENA_ARRAY(all->arena, const struct fieldset *, all->len + 1);
	struct places versions = { .arena = all->arena };
	size_t updaters = 0;

	qsort(all->items, all->len, sizeof(*all->items), by_age);
	for (size_t i = 0; i < all->len; i++)
		updaters += str_is(all->items[i].operation, "Update") && !fieldset_empty(all->items[i].set);
	for (size_t i = 0; i < all->len && updaters > MOST_UPDATERS; i++) {
		struct manager *m = &all->items[i], *first;
		if (!str_is(m->operation, "Update") || fieldset_empty(m->set))
			continue;
		first = &all->items[places_add(&versions, m->version, i)]; /* of its version */
		if (first == m)
			continue;
		first->name = STR("ancient-changes");
		first->subresource = STR("");
		first->time = m->time;
		m->joining = first->joining;
		first->joining = m;
		updaters--;
	}
	for (size_t i = 0; i < all->len; i++)
		if (all->items[i].joining != NULL)
			join(all, &all->items[i], sets);
}

/* ---- every other write ---- */

/* Sets of fields are objects all the way down. */
static bool sound(const struct json *fields)
{
	if (fields != NULL && fields->type != JSON_OBJECT)
		return false;
	JSON_EACH (fields, it)
		if (!sound(it.value))
			return false;
	return true;
}

/* Those of the request, unless it has none: clients that do not know them do not delete them. [{}] takes all away. */
static struct managers managers_of(struct arena *arena, const struct api_manager *me, const struct json *live,
				   const struct json *tree)
{
	const struct json *asked = json_path(tree, "metadata.managedFields"), *have = json_path(live, "metadata.managedFields");

	if (me->subresource.len != 0 || json_len(asked) == 0)
		return managers_read(arena, have);
	if (json_len(asked) == 1 && json_len(json_at(asked, 0)) == 0)
		return managers_read(arena, NULL);
	/* What cannot be read is not taken. */
	JSON_EACH (asked, it) {
		struct str operation = json_get_str(it.value, "operation");

		if ((!str_is(operation, "Apply") && !str_is(operation, "Update")) || !sound(json_get(it.value, "fieldsV1")))
			return managers_read(arena, have);
	}
	return managers_read(arena, asked);
}

const struct json *api_track(struct arena *arena, const struct api_manager *me, const struct json *live, const struct json *tree)
{
	struct managers all = managers_of(arena, me, live, tree);
	const struct type *type = type_of(me);

	tree = without_managers(arena, me, tree);
	/* Of what nobody is known to own nothing is tracked before the first apply; only creation starts it. */
	if (all.len == 0 && json_get_str(json_get(live, "metadata"), "uid").len != 0)
		return tree;
	live = live != NULL ? without_managers(arena, me, live) : nothing(arena, me);
	struct comparison c = fieldset_compare(arena, type, live, tree);
	c = (struct comparison){ stripped(arena, me, c.added), stripped(arena, me, c.removed), stripped(arena, me, c.modified) };
	struct fieldset *mine = fieldset_union(arena, c.modified, c.added);
	struct manager *before = manager_find(&all, me, false);
	take_from_others(&all, NULL, &c);
	if (!fieldset_empty(mine)) {
		struct manager *m = before != NULL ? before : manager_must(&all, me, false);
		m->set = fieldset_union(arena, mine, m->set);
		m->version = version_of(arena, me);
		m->time = me->now;
	}
	managers_cap(&all);
	return api_with(arena, type, tree, "metadata.managedFields", managers_json(&all));
}

/* ---- conflicts ---- */

struct conflicts {
	struct arena *arena;
	struct json_builder paths; /* of one manager */
	struct buf lines;
	struct str who;
	struct str only; /* the text when there is but one */
	struct error *err;
	size_t n;
};

static struct str who_text(struct arena *arena, const struct manager *m)
{
	AUTO_BUF struct buf out = { 0 };

	json_write_string(&out, m->name);
	if (m->subresource.len != 0)
		buf_printf(&out, " with subresource \"%.*s\"", STR_ARG(m->subresource));
	if (str_is(m->operation, "Update"))
		buf_printf(&out, " using %.*s", STR_ARG(m->version));
	return str_dup(arena, buf_str(&out));
}

static void conflict_found(void *arg, struct str path)
{
	struct conflicts *c = arg;

	c->n++;
	error_add_cause(c->err, "FieldManagerConflict", str_cstr(c->arena, path),
			arena_printf(c->arena, "conflict with %.*s", STR_ARG(c->who)));
	buf_printf(&c->lines, "\n- %.*s", STR_ARG(path));
	c->only = str_format(c->arena, "conflict with %.*s: %.*s", STR_ARG(c->who), STR_ARG(path));
}

static int by_name(const void *a, const void *b)
{
	const struct manager *const *x = a, *const *y = b;
	int order = str_cmp((*x)->name, (*y)->name);

	return order != 0 ? order : by_age(*x, *y);
}

static struct error *conflict_check(struct managers *all, const struct manager *mine, const struct comparison *c)
{
	struct fieldset *taken = fieldset_union(all->arena, c->modified, c->added);
	struct conflicts found = { .arena = all->arena, .err = error_new(ERR_CONFLICT, "Apply failed") };

	const struct manager **sorted = ARENA_ARRAY(all->arena, const struct manager *, all->len + 1);
	for (size_t i = 0; i < all->len; i++)
		sorted[i] = &all->items[i];
	qsort(sorted, all->len, sizeof(*sorted), by_name);
	for (size_t i = 0; i < all->len; i++) {
		struct fieldset *both = fieldset_both(all->arena, sorted[i]->set, taken);
		if (sorted[i] == mine || fieldset_empty(both))
			continue;
		found.who = who_text(all->arena, sorted[i]);
		buf_printf(&found.lines, "%sconflicts with %.*s:", found.n == 0 ? "" : "\n", STR_ARG(found.who));
		fieldset_each(all->arena, both, conflict_found, &found);
	}
	struct error *err = NULL;
	if (found.n == 1)
		err = error_new(ERR_CONFLICT, "Apply failed with 1 conflict: %.*s", STR_ARG(found.only));
	else if (found.n != 0)
		err = error_new(ERR_CONFLICT, "Apply failed with %zu conflicts: %s", found.n, buf_cstr(&found.lines));
	for (size_t i = 0; err != NULL && i < found.err->n_causes; i++)
		error_add_cause(err, found.err->causes[i].reason, found.err->causes[i].field, found.err->causes[i].message);
	error_free(found.err);
	buf_fini(&found.lines);
	return err == NULL ? NULL : error_about(err, STR(""), STR(""), STR(""));
}

/* ---- apply ---- */

/* What the manager set before and sets no more goes, unless somebody else owns it. */
static const struct json *prune(struct managers *all, const struct type *type, const struct json *merged,
				const struct fieldset *last)
{
	struct arena *a = all->arena;

	if (fieldset_empty(last))
		return merged;
	last = fieldset_named(a, type, last);
	const struct fieldset **sets = ARENA_ARRAY(a, const struct fieldset *, all->len + 1);
	for (size_t i = 0; i < all->len; i++)
		sets[i] = all->items[i].set;
	struct fieldset *owned = fieldset_named(a, type, fieldset_union_all(a, sets, all->len));
	struct fieldset *full = fieldset_named(a, type, fieldset_of(a, type, merged));
	/* Without all it ever set, then with what is owned, then with what was never its own. */
	const struct json *pruned = merge_remove(a, type, merged, last);
	struct fieldset *left = fieldset_union(a, fieldset_named(a, type, fieldset_of(a, type, pruned)), owned);
	pruned = merge_remove(a, type, merged, fieldset_without(a, full, left));
	left = fieldset_named(a, type, fieldset_of(a, type, pruned));
	return merge_remove(a, type, merged, fieldset_both(a, fieldset_without(a, full, left), last));
}

static const struct json *sorted_keys(struct arena *arena, const struct json *value)
{
	struct json_builder b = { .arena = arena };

	JSON_EACH (value, it) {
		if (value->type == JSON_ARRAY)
			json_builder_item(&b, sorted_keys(arena, it.value));
		else
			json_builder_member(&b, it.key, sorted_keys(arena, it.value));
	}
	if (value->type == JSON_OBJECT)
		json_builder_sort(&b);
	return value->type == JSON_OBJECT ? json_builder_object(&b) : value->type == JSON_ARRAY ? json_builder_array(&b) : value;
}

/* kubectl may go back to applying on its own side: what it left there for that is kept true. */
static const struct json *with_last_applied(struct arena *arena, const struct api_manager *me, const struct json *tree,
					    const struct json *config)
{
	static const char key[] = "kubectl.kubernetes.io/last-applied-configuration";
	const struct json *annotations = json_path(tree, "metadata.annotations"), *said = json_path(config, "metadata.annotations");

	if (!str_is(me->name, "kubectl") || json_get(annotations, key) == NULL)
		return tree;
	if (json_get(said, key) != NULL)
		config = json_with_path(arena, config, "metadata.annotations", json_with(arena, said, key, NULL));
	struct str text = str_format(arena, "%.*s\n", STR_ARG(json_format(arena, sorted_keys(arena, config))));
	return json_with_path(arena, tree, "metadata.annotations", json_with(arena, annotations, key, json_string(arena, text)));
}

/* Whose is what was there when nobody had applied yet. */
static const struct json *before_first_apply(struct arena *arena, const struct api_manager *me, const struct json *live)
{
	struct api_manager first = *me;

	first.name = STR("before-first-apply");
	return json_path(api_track(arena, &first, NULL, live), "metadata.managedFields");
}

static struct error *not_typed(struct error *err, const struct kind *kind, const struct json *tree, const char *what,
			       const char *to)
{
	struct str version = kind_api_version(kind), name = kind_name(kind);
	const char *slash = kind_group(kind).len == 0 ? "/" : "";
	AUTO_BUF struct buf into = { 0 };

	err->kind = ERR_PLAIN;
	buf_add(&into, str_from(to));
	if (into.len != 0)
		buf_printf(&into, "%s%.*s, Kind=%.*s", slash, STR_ARG(version), STR_ARG(name));
	return error_context(err, "failed to %s (%.*s/%.*s; %s%.*s, Kind=%.*s)%s", what,
			     STR_ARG(json_str(json_path(tree, "metadata.namespace"))),
			     STR_ARG(json_str(json_path(tree, "metadata.name"))), slash, STR_ARG(version), STR_ARG(name),
			     buf_cstr(&into));
}

struct error *api_apply(struct arena *arena, const struct api_manager *me, const struct json *live, const struct json *config,
			bool force, const struct json **out)
{
	const struct json *owned = json_path(live, "metadata.managedFields");
	struct managers all =
		managers_read(arena, live != NULL && json_len(owned) == 0 ? before_first_apply(arena, me, live) : owned);
	const struct type *type = kind_type(me->kind);
	const struct json *managed = json_path(config, "metadata.managedFields"), *merged;
	struct error *err;

	if (json_is(managed, JSON_ARRAY))
		return error_new(ERR_BAD_REQUEST, "metadata.managedFields must be nil");
	err = merge_check(arena, type, config);
	if (err != NULL)
		return not_typed(err, me->kind, config, "create typed patch object", "");
	live = live != NULL ? without_managers(arena, me, live) : nothing(arena, me);
	merged = merge_trees(arena, type, live, config);
	struct manager *mine = manager_must(&all, me, true);
	struct fieldset *last = mine->set;
	mine->set = stripped(arena, me, fieldset_of(arena, type, config));
	mine->version = kind_api_version(me->kind);
	merged = prune(&all, type, merged, last);
	struct comparison c = fieldset_compare(arena, type, live, merged);
	c = (struct comparison){ stripped(arena, me, c.added), stripped(arena, me, c.removed), stripped(arena, me, c.modified) };
	bool changed = !json_equal(live, merged);
	if (!force) {
		err = conflict_check(&all, mine, &c);
		if (err != NULL)
			return err;
	}
	take_from_others(&all, mine, &c);
	if (changed)
		mine->time = me->now;
	err = api_normalize(arena, type, merged, NULL, &merged);
	if (err != NULL)
		return not_typed(err, me->kind, config, "convert new object",
				 " to proper version: unable to convert unstructured object to ");
	merged = with_last_applied(arena, me, api_with_kind(arena, merged, me->kind), config);
	*out = api_with(arena, type, merged, "metadata.managedFields", managers_json(&all));
	return NULL;
}
