/* monokube stop and delete. Both also put right what an interrupted one left. */
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/kubeconfig.h"
#include "cmd/life.h"
#include "cmd/ui.h"

static struct error *open_one(struct args *args, struct profile *profile)
{
	struct error *err = profile_open(args->arena, args->profile, profile);

	if (err == NULL && !profile_exists(profile))
		err = error_advise(error_new(ERR_NOT_FOUND, "there is no profile '%s'", args->profile),
				   "'monokube profile list' shows the profiles there are.");
	return err;
}

static struct error *open_existing(struct args *args, struct profile *profile, int *lock)
{
	struct error *err = life_need_root();

	if (err == NULL)
		err = profile_remove_trash(args->arena);
	if (err == NULL)
		err = open_one(args, profile);
	if (err == NULL)
		err = profile_lock(args->arena, args->profile, lock);
	return err != NULL ? err : open_one(args, profile); /* as whoever held the lock left it */
}

static struct error *end_processes(struct args *args, const struct profile *profile)
{
	struct error *err = life_stop_server(args->arena, profile);

	return err != NULL ? err : life_stop_nodes(args->arena, profile);
}

static struct error *run_stop(struct args *args)
{
	AUTO_FD int lock = -1;
	struct profile profile;
	struct error *err = open_existing(args, &profile, &lock);

	ui_open("stop", args->json, args->quiet, 1);
	if (err != NULL)
		return err;
	ui_step("Stopping", "Stopped profile '%s'; its state stays for the next start", profile.name);
	return end_processes(args, &profile);
}

static struct error *delete_one(struct args *args, const char *name)
{
	struct profile profile;
	struct error *err = profile_open(args->arena, name, &profile);

	if (err == NULL && profile_exists(&profile)) {
		err = end_processes(args, &profile);
		if (err == NULL) /* before the directory, so that who interrupts us can still say delete */
			err = kubeconfig_remove(args->arena, name);
		if (err == NULL)
			err = life_remove(args->arena, &profile);
	}
	return err;
}

struct names {
	struct arena *arena;
	VEC(const char *) list;
};

static void take_name(void *arg, const char *name)
{
	struct names *names = arg;

	vec_push(&names->list, arena_strdup(names->arena, name));
}

static struct error *delete_all(struct args *args)
{
	struct names names = { .arena = args->arena };
	struct error *err = life_need_root();

	if (err == NULL)
		err = profile_each(args->arena, take_name, &names);
	for (size_t i = 0; err == NULL && i < names.list.len; i++) {
		AUTO_FD int lock = -1;

		ui_step("Deleting", "Deleted profile '%s'", names.list.ptr[i]);
		err = profile_lock(args->arena, names.list.ptr[i], &lock);
		if (err == NULL)
			err = delete_one(args, names.list.ptr[i]);
	}
	vec_fini(&names.list);
	return err;
}

static struct error *run_delete(struct args *args)
{
	AUTO_FD int lock = -1;
	struct profile profile;
	struct error *err;

	ui_open("delete", args->json, args->quiet, 1);
	if (flag_switch(args, "all"))
		return delete_all(args);
	err = open_existing(args, &profile, &lock);
	if (err != NULL)
		return err;
	ui_step("Deleting", "Deleted profile '%s': processes, network, state and kubectl context", profile.name);
	return delete_one(args, profile.name);
}

const struct command stop_command = {
	.name = "stop",
	.operands = "",
	.summary = "Stops a cluster; nothing of its state is lost",
	.run = run_stop,
};

const struct command delete_command = {
	.name = "delete",
	.operands = "",
	.summary = "Deletes a cluster and all that belongs to it",
	.run = run_delete,
	.flags = { { "all", 0, FLAG_SWITCH, NULL, "every profile" }, { NULL, 0, FLAG_TEXT, NULL, NULL } },
};
