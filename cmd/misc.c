/* Small commands: logs, kubeconfig, completion, doctor. */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/files.h"
#include "cmd/life.h"
#include "runtime/runtime.h"

static struct error *print_file(struct args *args, const char *name, int64_t lines)
{
	struct profile profile;
	AUTO_BUF struct buf text = { 0 };
	struct str all;
	struct error *err = profile_open(args->arena, args->profile, &profile);

	if (err == NULL)
		err = files_read(profile_path(args->arena, &profile, "%s", name), &text);
	if (err != NULL && err->kind == ERR_NOT_FOUND)
		return error_advise(err, "Start the cluster first: sudo monokube start -p %s", args->profile);
	if (err != NULL)
		return err;
	all = buf_str(&text);
	if (lines > 0) {
		size_t at = all.len;

		for (int64_t seen = 0; at > 0; at--)
			if (all.ptr[at - 1] == '\n' && seen++ == lines)
				break;
		all = str_skip(all, at);
	}
	fwrite(all.ptr, 1, all.len, stdout);
	return NULL;
}

static struct error *run_logs(struct args *args)
{
	return print_file(args, "server.log", flag_number(args, "length"));
}

static struct error *run_kubeconfig(struct args *args)
{
	return print_file(args, "admin.conf", 0);
}

/* "image load", "image ls": only the first of them stands for the word "image". */
static bool is_first_of_word(size_t row)
{
	size_t len = strcspn(commands[row]->name, " ");

	for (size_t i = 0; i < row; i++)
		if (!commands[i]->hidden && strcspn(commands[i]->name, " ") == len &&
		    strncmp(commands[i]->name, commands[row]->name, len) == 0)
			return false;
	return true;
}

/* The flags and second words of all commands that start like this one. */
static void complete_word(const char *name)
{
	size_t len = strcspn(name, " ");

	printf("\t%.*s) COMPREPLY=($(compgen -W \"--profile --output --quiet --verbose --help", (int)len, name);
	for (size_t i = 0; i < n_commands; i++) {
		if (commands[i]->hidden || strncmp(commands[i]->name, name, len) != 0)
			continue;
		if (commands[i]->name[len] == ' ')
			printf(" %s", commands[i]->name + len + 1);
		else if (commands[i]->name[len] != '\0')
			continue;
		for (size_t j = 0; j < MAX_FLAGS && commands[i]->flags[j].name != NULL; j++)
			printf(" --%s", commands[i]->flags[j].name);
	}
	printf("\" -- \"$cur\")) ;;\n");
}

static struct error *run_completion(struct args *args)
{
	const char *shell = args->operands[0];
	bool bash = strcmp(shell, "bash") == 0, zsh = strcmp(shell, "zsh") == 0;

	if (!bash && !zsh)
		return error_advise(error_new(ERR_USAGE, "no completion for '%s'", shell), "Use bash or zsh.");
	if (zsh)
		printf("autoload -U +X bashcompinit && bashcompinit\n");
	printf("_monokube() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n\tif [ $COMP_CWORD = 1 ]; then\n\t\tCOMPREPLY=($(compgen -W \"");
	for (size_t i = 0; i < n_commands; i++)
		if (!commands[i]->hidden && is_first_of_word(i))
			printf("%.*s ", (int)strcspn(commands[i]->name, " "), commands[i]->name);
	printf("\" -- \"$cur\"))\n\t\treturn\n\tfi\n\tcase \"${COMP_WORDS[1]}\" in\n");
	for (size_t i = 0; i < n_commands; i++)
		if (!commands[i]->hidden && is_first_of_word(i))
			complete_word(commands[i]->name);
	printf("\tesac\n}\ncomplete -o default -F _monokube monokube\n");
	return NULL;
}

/* --- doctor: a table of probes --- */

static const char *check_root(void)
{
	struct error *err = life_need_root();
	bool ok = err == NULL;

	error_free(err);
	return ok ? NULL : "run with sudo: clusters need root for now";
}

static char probe_text[512];

static const char *check_runtime(void)
{
	struct error *err = runtime_probe();

	if (err == NULL)
		return NULL;
	snprintf(probe_text, sizeof(probe_text), "%s (%s)", err->text, error_advice(err));
	error_free(err);
	return probe_text;
}

static const char *check_file(const char *path)
{
	FILE *file = fopen(path, "re");

	if (file == NULL)
		return path;
	fclose(file);
	return NULL;
}

static const char *check_inotify(void)
{
	return check_file("/proc/sys/fs/inotify/max_user_instances") == NULL ? NULL : "this kernel has no inotify";
}

static const struct {
	const char *name;
	const char *(*probe)(void); /* NULL: good */
	bool required;
} probes[] = {
	{ "root", check_root, true },
	{ "namespaces, mounts, control groups", check_runtime, true },
	{ "inotify", check_inotify, false },
};

static struct error *run_doctor(struct args *args)
{
	bool broken = false;

	(void)args;
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		const char *why = probes[i].probe();

		printf("%s %s%s%s\n",
		       why == NULL          ? "✓"
		       : probes[i].required ? "✗"
					    : "!",
		       probes[i].name, why != NULL ? ": " : "", why != NULL ? why : "");
		broken = broken || (why != NULL && probes[i].required);
	}
	printf("%s control groups v%d\n", "·", runtime_cgroup_is_v2() ? 2 : 1);
	if (broken)
		return error_advise(error_new(ERR_UNSUPPORTED, "this machine cannot run a cluster yet"), "See the lines marked ✗.");
	return NULL;
}

const struct command logs_command = { .name = "logs",
				      .operands = "",
				      .summary = "Prints the server's log",
				      .run = run_logs,
				      .flags = { { "length", 0, FLAG_NUMBER, "60", "how many lines" },
						 { NULL, 0, FLAG_TEXT, NULL, NULL } } };
const struct command kubeconfig_command = {
	.name = "kubeconfig", .operands = "", .summary = "Prints a kubeconfig of the cluster", .run = run_kubeconfig
};
const struct command completion_command = { .name = "completion",
					    .operands = "bash|zsh",
					    .summary = "Prints a completion "
						       "script",
					    .run = run_completion,
					    .min_operands = 1,
					    .max_operands = 1 };
const struct command doctor_command = { .name = "doctor",
					.operands = "",
					.summary = "Checks whether this machine can run a "
						   "cluster, and says what is missing",
					.run = run_doctor };
