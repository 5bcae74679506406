/* monokube status, profile, node list: what there is. Names and bits are minikube's. */
#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/kubeconfig.h"
#include "cmd/life.h"
#include "json/json.h"

/* Exit bits of `status`: what does not run. */
enum { BIT_HOST = 1, BIT_CLUSTER = 2, BIT_KUBECONFIG = 4 };

struct state {
	bool host, kubelet, apiserver, kubeconfig;
};

static struct state state_of(struct arena *arena, const struct profile *profile)
{
	struct state state = { .apiserver = profile_server_pid(arena, profile) != 0 };

	state.host = state.apiserver;
	state.kubelet = state.apiserver && profile->nodes != 0;
	for (int i = 0; i < profile->nodes; i++) {
		bool runs = life_node_runs(life_node_socket(arena, profile, i));

		state.host = state.host || runs;
		state.kubelet = state.kubelet && runs;
	}
	state.kubeconfig = kubeconfig_has(arena, profile->name);
	return state;
}

static const char *word(bool runs)
{
	return runs ? "Running" : "Stopped";
}

static const struct json *status_json(struct arena *arena, const char *name, const struct state *state, bool worker)
{
	const char *kubeconfig = worker ? "Irrelevant" : state->kubeconfig ? "Configured" : "Misconfigured";

	return JSON_OBJECT_OF(arena, { "Name", json_text(arena, name) }, { "Host", json_text(arena, word(state->host)) },
			      { "Kubelet", json_text(arena, word(state->kubelet)) },
			      { "APIServer", json_text(arena, worker ? "Irrelevant" : word(state->apiserver)) },
			      { "Kubeconfig", json_text(arena, kubeconfig) }, { "Worker", json_boolean(worker) });
}

static struct state worker_state(struct arena *arena, const struct profile *profile, const struct state *state, int node)
{
	bool runs = life_node_runs(life_node_socket(arena, profile, node));

	return (struct state){ .host = runs, .kubelet = runs && state->apiserver };
}

/* One node: an object; several: a list of them, as minikube prints it. */
static void print_status_json(const struct args *args, const struct profile *profile, const struct state *state)
{
	struct arena *arena = args->arena;
	struct json_builder all = { .arena = arena };
	const struct json *first = status_json(arena, profile->name, state, false);
	AUTO_BUF struct buf out = { 0 };

	json_builder_item(&all, first);
	for (int i = 1; i < profile->nodes; i++) {
		struct state worker = worker_state(arena, profile, state, i);

		json_builder_item(&all, status_json(arena, life_node_name(arena, profile, i), &worker, true));
	}
	json_write(&out, profile->nodes > 1 ? json_builder_array(&all) : first);
	printf("%s\n", buf_cstr(&out));
}

static void print_status(const struct args *args, const struct profile *profile, const struct state *state)
{
	if (args->json) {
		print_status_json(args, profile, state);
		return;
	}
	printf("%s\ntype: Control Plane\nhost: %s\nkubelet: %s\napiserver: %s\nkubeconfig: %s\n", profile->name, word(state->host),
	       word(state->kubelet), word(state->apiserver), state->kubeconfig ? "Configured" : "Misconfigured");
	for (int i = 1; i < profile->nodes; i++) {
		struct state worker = worker_state(args->arena, profile, state, i);

		printf("\n%s\ntype: Worker\nhost: %s\nkubelet: %s\n", life_node_name(args->arena, profile, i), word(worker.host),
		       word(worker.kubelet));
	}
}

static struct error *open_profile(struct args *args, struct profile *profile)
{
	struct error *err = profile_open(args->arena, args->profile, profile);

	if (err == NULL && !profile_exists(profile))
		err = error_advise(error_new(ERR_NOT_FOUND, "there is no profile '%s'", args->profile),
				   "Start one: sudo monokube start -p %s", args->profile);
	return err;
}

static struct error *run_status(struct args *args)
{
	struct profile profile;
	struct state state;
	struct error *err = open_profile(args, &profile);
	int bits;

	if (err != NULL)
		return err;
	state = state_of(args->arena, &profile);
	print_status(args, &profile, &state);
	bits = (state.host ? 0 : BIT_HOST) | (state.apiserver && (state.kubelet || profile.nodes == 0) ? 0 : BIT_CLUSTER) |
	       (state.kubeconfig ? 0 : BIT_KUBECONFIG);
	if (bits == 0)
		return NULL;
	fflush(NULL);
	_exit(bits); /* the answer is the exit code, not an error */
}

struct listing {
	struct args *args;
	struct json_builder valid;
	bool any;
};

static void list_one(void *arg, const char *name)
{
	struct listing *listing = arg;
	struct arena *arena = listing->args->arena;
	struct profile profile;
	struct error *err = profile_open(arena, name, &profile);
	bool runs;

	if (err != NULL) {
		error_free(err);
		return;
	}
	runs = profile_server_pid(arena, &profile) != 0;
	listing->any = true;
	json_builder_item(&listing->valid, JSON_OBJECT_OF(arena, { "Name", json_text(arena, profile.name) },
							  { "Status", json_text(arena, runs ? "OK" : "Stopped") },
							  { "Nodes", json_number(arena, profile.nodes) },
							  { "Port", json_number(arena, profile.port) }));
	if (!listing->args->json)
		printf("%-20s %-9s %5lld %6lld\n", profile.name, runs ? "Running" : "Stopped", (long long)profile.nodes,
		       (long long)profile.port);
}

static struct error *run_list(struct args *args)
{
	struct listing listing = { .args = args, .valid = { .arena = args->arena } };
	AUTO_BUF struct buf out = { 0 };
	struct error *err;

	if (!args->json)
		printf("%-20s %-9s %5s %6s\n", "PROFILE", "STATUS", "NODES", "PORT");
	err = profile_each(args->arena, list_one, &listing);
	if (err == NULL && args->json) {
		json_write(&out, JSON_OBJECT_OF(args->arena, { "invalid", &json_empty_array },
						{ "valid", json_builder_array(&listing.valid) }));
		printf("%s\n", buf_cstr(&out));
	}
	return err;
}

static struct error *run_profile(struct args *args)
{
	printf("%s\n", args->profile);
	return NULL;
}

static struct error *run_nodes(struct args *args)
{
	struct profile profile;
	struct json_builder all = { .arena = args->arena };
	AUTO_BUF struct buf out = { 0 };
	struct error *err = open_profile(args, &profile);

	if (err != NULL)
		return err;
	for (int i = 0; i < profile.nodes; i++) {
		const char *name = life_node_name(args->arena, &profile, i);
		const char *state = word(life_node_runs(life_node_socket(args->arena, &profile, i)));

		json_builder_item(&all, JSON_OBJECT_OF(args->arena, { "Name", json_text(args->arena, name) },
						       { "Status", json_text(args->arena, state) }));
		if (!args->json)
			printf("%s\t%s\n", name, state);
	}
	if (args->json) {
		json_write(&out, json_builder_array(&all));
		printf("%s\n", buf_cstr(&out));
	}
	return NULL;
}

static struct error *find_node(struct args *args, const struct profile *profile, int *index)
{
	for (int i = 0; i < profile->nodes; i++)
		if (str_is(str_from(args->operands[0]), life_node_name(args->arena, profile, i))) {
			*index = i;
			return NULL;
		}
	return error_advise(error_new(ERR_NOT_FOUND, "profile %s has no node '%s'", profile->name, args->operands[0]),
			    "'monokube node list -p %s' shows its nodes.", profile->name);
}

/* What `node start` and `node stop` begin with. */
static struct error *take_node(struct args *args, struct profile *profile, int *index, int *lock)
{
	struct error *err = life_need_root();

	if (err == NULL)
		err = open_profile(args, profile);
	if (err == NULL)
		err = find_node(args, profile, index);
	return err != NULL ? err : profile_lock(args->arena, args->profile, lock);
}

static struct error *run_node_stop(struct args *args)
{
	AUTO_FD int lock = -1;
	struct profile profile;
	int index = 0;
	struct error *err = take_node(args, &profile, &index, &lock);

	return err != NULL ? err : life_stop_node(life_node_socket(args->arena, &profile, index));
}

const struct command status_command = { .name = "status",
					.operands = "",
					.summary = "Says what of a cluster runs; exit bits "
						   "1 host, 2 cluster, 4 kubeconfig",
					.run = run_status };
const struct command profile_list_command = { .name = "profile list",
					      .operands = "",
					      .summary = "Lists the clusters of this "
							 "machine",
					      .run = run_list };
const struct command profile_command = {
	.name = "profile", .operands = "", .summary = "Says which profile is meant", .run = run_profile
};
const struct command node_list_command = {
	.name = "node list", .operands = "", .summary = "Lists the nodes of a cluster", .run = run_nodes
};
const struct command node_stop_command = { .name = "node stop",
					   .operands = "NODE",
					   .summary = "Stops a node as a power cut "
						      "would",
					   .run = run_node_stop,
					   .min_operands = 1,
					   .max_operands = 1 };

/* The process comes back as after a power cut; the server notices it and the node's pods run again. */
static struct error *run_node_start(struct args *args)
{
	AUTO_FD int lock = -1;
	struct profile profile;
	int index = 0;
	struct error *err = take_node(args, &profile, &index, &lock);

	return err != NULL ? err : life_start_node(args->arena, &profile, index);
}

const struct command node_start_command = { .name = "node start",
					    .operands = "NODE",
					    .summary = "Starts a node that was stopped "
						       "or died",
					    .run = run_node_start,
					    .min_operands = 1,
					    .max_operands = 1 };
