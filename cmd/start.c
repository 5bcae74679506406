/* monokube start: a cluster that answers, whatever was there before. */
#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/kubeconfig.h"
#include "cmd/life.h"
#include "cmd/ui.h"

#define TIMEOUT (60 * NS_PER_S)

static struct error *check_flags(const struct args *args)
{
	int64_t nodes = flag_number(args, "nodes"), port = flag_number(args, "apiserver-port");

	if (nodes > LIMIT_NODES)
		return error_advise(error_new(ERR_USAGE, "--nodes is %lld, the most is %d", (long long)nodes, LIMIT_NODES),
				    "Use fewer nodes.");
	if (port > 65535)
		return error_advise(error_new(ERR_USAGE, "--apiserver-port is %lld, the most is 65535", (long long)port),
				    "Choose a port from 1024 to 65535.");
	return NULL;
}

static struct error *use_flags(const struct args *args, struct profile *profile, bool existed)
{
	int64_t nodes = flag_number(args, "nodes"), port = flag_number(args, "apiserver-port");

	if (flag_text(args, "nodes") != NULL && existed && nodes != profile->nodes)
		return error_advise(error_new(ERR_USAGE, "profile %s has %lld node%s; their number is fixed at the first start",
					      profile->name, (long long)profile->nodes, profile->nodes == 1 ? "" : "s"),
				    "Delete the profile first, or start another one with -p.");
	if (flag_text(args, "nodes") != NULL)
		profile->nodes = nodes;
	if (port != 0)
		profile->port = port;
	return NULL;
}

static struct error *take_kubeconfig(struct args *args, const struct profile *profile)
{
	struct error *err;

	if (flag_switch(args, "no-context"))
		return NULL;
	err = kubeconfig_merge(args->arena, profile_path(args->arena, profile, "admin.conf"), profile->name);
	return err;
}

static struct error *choose(struct arena *arena, struct profile *profile)
{
	AUTO_FD int lock = -1;
	struct error *err = profile_lock_home(arena, &lock);

	if (err == NULL)
		err = life_choose(arena, profile);
	return err != NULL ? err : profile_save(profile);
}

static void say_next(const struct profile *profile)
{
	ui_info("Cluster '%s' answers: Kubernetes v1.36.3, %lld node%s.", profile->name, (long long)profile->nodes,
		profile->nodes == 1 ? "" : "s");
	ui_info("kubectl uses it now. Try:");
	ui_info("  kubectl get nodes");
	ui_info("  kubectl create deployment web --image=monokube/hello --replicas=3");
	ui_info("  kubectl expose deployment web --port=80 --target-port=8080 --type=LoadBalancer");
}

/* A server that runs: *done is true when it is ready and stays. One that an interrupted stop told to end, ends. */
static struct error *join(struct args *args, const struct profile *profile, bool *done)
{
	struct error *err = NULL;
	bool runs = false;

	ui_step("Running", "Cluster '%s' runs already", profile->name);
	do {
		err = life_join_server(args->arena, profile, TIMEOUT, &runs);
		if (err != NULL || !runs)
			return err;
		err = take_kubeconfig(args, profile);
		*done = err == NULL && profile_server_ready(args->arena, profile);
	} while (err == NULL && !*done);
	if (err == NULL)
		say_next(profile);
	return err;
}

static struct error *run(struct args *args)
{
	AUTO_FD int lock = -1;
	struct profile profile;
	struct error *err = life_need_root();
	bool existed, done = false;

	ui_open("start", args->json, args->quiet, 4);
	if (err == NULL)
		err = profile_check_name(args->profile);
	if (err == NULL)
		err = check_flags(args);
	if (err == NULL)
		err = profile_lock(args->arena, args->profile, &lock);
	if (err == NULL)
		err = profile_open(args->arena, args->profile, &profile);
	if (err != NULL)
		return err;
	existed = profile_exists(&profile) && profile.slot >= 0;
	err = use_flags(args, &profile, existed);
	if (err != NULL)
		return err;
	if (profile_server_pid(args->arena, &profile) != 0)
		err = join(args, &profile, &done);
	if (err != NULL || done)
		return err;
	ui_step("Preparing", "%s profile '%s'", existed ? "Found" : "New", profile.name);
	err = choose(args->arena, &profile);
	if (err != NULL)
		return err;
	ui_step("Starting", "Control plane and %lld node%s ready", (long long)profile.nodes, profile.nodes == 1 ? "" : "s");
	err = life_start_server(args->arena, &profile, TIMEOUT);
	if (err != NULL)
		return err;
	ui_step("Configuring", "kubectl context '%s' in %s", profile.name, kubeconfig_file(args->arena));
	err = take_kubeconfig(args, &profile);
	if (err == NULL)
		say_next(&profile);
	return err;
}

const struct command start_command = {
	.name = "start",
	.operands = "",
	.summary = "Starts a cluster: a new one, or one that was stopped",
	.run = run,
	.flags = {
		{ "nodes", 'n', FLAG_NUMBER, NULL, "how many nodes a new cluster has (default 1)" },
		{ "apiserver-port", 0, FLAG_NUMBER, NULL, "port of the API server on 127.0.0.1 (default: a free one)" },
		{ "no-context", 0, FLAG_SWITCH, NULL, "leave the kubeconfig alone" },
		{ NULL, 0, FLAG_TEXT, NULL, NULL },
	},
};
