/* From argv to a row of the command table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/ui.h"

extern const struct command start_command, stop_command, delete_command, status_command, profile_list_command, profile_command,
	node_list_command, node_start_command, node_stop_command, image_load_command, image_ls_command, image_rm_command,
	logs_command, kubeconfig_command, doctor_command, version_command, completion_command, server_command, node_command,
	oci_command, hello_command, help_command;

const struct command *const commands[] = {
	&start_command,     &stop_command,       &delete_command,    &status_command,     &profile_list_command, &profile_command,
	&node_list_command, &node_start_command, &node_stop_command, &image_load_command, &image_ls_command,     &image_rm_command,
	&logs_command,      &kubeconfig_command, &doctor_command,    &version_command,    &completion_command,   &help_command,
	&server_command,    &oci_command,        &node_command,      &hello_command,
};
const size_t n_commands = sizeof(commands) / sizeof(commands[0]);

static const struct flag common[] = {
	{ "profile", 'p', FLAG_TEXT, NULL, "the cluster to act on (default: monokube, or $MONOKUBE_PROFILE)" },
	{ "output", 'o', FLAG_TEXT, NULL, "text or json" },
	{ "quiet", 'q', FLAG_SWITCH, NULL, "only errors and answers" },
	{ "verbose", 'v', FLAG_SWITCH, NULL, "more of the story" },
	{ "help", 'h', FLAG_SWITCH, NULL, "what this command does" },
};
#define N_COMMON (sizeof(common) / sizeof(common[0]))

/* Two words beat one: "node list" before "node". */
static const struct command *find_command(int argc, char **argv, int *used)
{
	char two[128];

	if (argc > 2) {
		snprintf(two, sizeof(two), "%s %s", argv[1], argv[2]);
		for (size_t i = 0; i < n_commands; i++)
			if (strcmp(commands[i]->name, two) == 0) {
				*used = 3;
				return commands[i];
			}
	}
	for (size_t i = 0; argc > 1 && i < n_commands; i++)
		if (strcmp(commands[i]->name, argv[1]) == 0) {
			*used = 2;
			return commands[i];
		}
	return NULL;
}

static int find_flag(const struct flag *flags, size_t n, struct str name, char letter)
{
	for (size_t i = 0; i < n && flags[i].name != NULL; i++)
		if ((name.len != 0 && str_is(name, flags[i].name)) || (letter != '\0' && flags[i].letter == letter))
			return (int)i;
	return -1;
}

static void print_flags(const struct flag *flags, size_t n)
{
	for (size_t i = 0; i < n && flags[i].name != NULL; i++) {
		char left[64];

		snprintf(left, sizeof(left), "%c%c%s--%s%s", flags[i].letter != 0 ? '-' : ' ',
			 flags[i].letter != 0 ? flags[i].letter : ' ', flags[i].letter != 0 ? ", " : "  ", flags[i].name,
			 flags[i].kind == FLAG_SWITCH ? ""
			 : flags[i].kind == FLAG_TEXT ? " TEXT"
						      : " N");
		printf("  %-28s %s%s%s%s\n", left, flags[i].help, flags[i].value != NULL ? " (default " : "",
		       flags[i].value != NULL ? flags[i].value : "", flags[i].value != NULL ? ")" : "");
	}
}

static void print_help(const struct command *command)
{
	printf("%s\n\nUsage: monokube %s%s%s%s\n", command->summary, command->name, command->operands[0] != '\0' ? " " : "",
	       command->operands, command->raw == NULL ? " [flags]" : "");
	if (command->raw != NULL)
		return;
	printf("\nFlags:\n");
	print_flags(command->flags, MAX_FLAGS);
	print_flags(common, N_COMMON);
}

static void print_commands(FILE *out)
{
	fprintf(out, "monokube: a whole Kubernetes cluster in one program\n\nUsage: monokube COMMAND [flags]\n\nCommands:\n");
	for (size_t i = 0; i < n_commands; i++)
		if (!commands[i]->hidden)
			fprintf(out, "  %-16s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(out, "\n'monokube COMMAND --help' tells more.\n");
}

struct parse {
	struct args *args;
	const char *common_values[N_COMMON];
	bool help;
};

static struct error *usage(const struct command *command, const char *what, const char *word, const char *how)
{
	struct error *err = error_new(ERR_USAGE, "%s%s%s", what, word, how);

	return error_advise(err, "See 'monokube %s --help'.", command->name);
}

static struct error *check_value(const struct command *command, const struct flag *flag, const char *value)
{
	int64_t n;

	if (flag->kind == FLAG_SWITCH && strcmp(value, "true") != 0 && strcmp(value, "false") != 0 && strcmp(value, "1") != 0 &&
	    strcmp(value, "0") != 0)
		return usage(command, "--", flag->name, " is a switch: it takes no value but true or false");
	if ((flag->kind == FLAG_NUMBER || flag->kind == FLAG_SECONDS) && (!str_to_i64(str_from(value), &n) || n < 0))
		return error_advise(error_new(ERR_USAGE, "--%s takes a whole number, not '%s'", flag->name, value),
				    "See 'monokube %s --help'.", command->name);
	return NULL;
}

static struct error *take_flag(struct parse *parse, const struct command *command, int argc, char **argv, int *at)
{
	const char *word = argv[*at];
	struct str name = STR(""), rest = str_from(word);
	const char *value = NULL;
	const struct flag *flag;
	bool is_common = false;
	int row;

	if (word[1] == '-') {
		const char *equals = strchr(word, '=');

		name = str_of(word + 2, equals != NULL ? (size_t)(equals - word - 2) : strlen(word + 2));
		value = equals != NULL ? equals + 1 : NULL;
	} else if (rest.len > 2) {
		value = word + 2;
	}
	row = find_flag(command->flags, MAX_FLAGS, name, name.len == 0 ? word[1] : '\0');
	if (row < 0) {
		row = find_flag(common, N_COMMON, name, name.len == 0 ? word[1] : '\0');
		is_common = true;
	}
	if (row < 0)
		return usage(command, "unknown flag ", word, "");
	flag = is_common ? &common[row] : &command->flags[row];
	if (flag->kind == FLAG_SWITCH) {
		value = value != NULL ? value : "true";
	} else if (value == NULL) {
		if (*at + 1 >= argc)
			return usage(command, "--", flag->name, " needs a value");
		value = argv[++*at];
	}
	if (is_common) {
		parse->common_values[row] = value;
	} else {
		parse->args->values[row] = value;
		parse->args->given[row] = true;
	}
	return check_value(command, flag, value);
}

static bool is_on(const char *value)
{
	return value != NULL && strcmp(value, "false") != 0 && strcmp(value, "0") != 0;
}

static struct error *parse_args(struct parse *parse, const struct command *command, int argc, char **argv, int first)
{
	struct args *args = parse->args;
	const char *output;
	bool only_operands = false;
	struct error *first_err = NULL;

	args->command = command;
	args->operands = ARENA_ARRAY(args->arena, const char *, (size_t)argc + 1);
	for (size_t i = 0; i < MAX_FLAGS && command->flags[i].name != NULL; i++)
		args->values[i] = command->flags[i].value;
	for (int i = first; i < argc; i++) {
		struct error *err = NULL;

		if (!only_operands && strcmp(argv[i], "--") == 0)
			only_operands = true;
		else if (!only_operands && argv[i][0] == '-' && argv[i][1] != '\0')
			err = take_flag(parse, command, argc, argv, &i);
		else
			args->operands[args->n_operands++] = argv[i];
		if (first_err != NULL) /* the rest only says how it is to be told */
			error_free(err);
		else
			first_err = err;
	}
	if (first_err != NULL)
		return first_err;
	parse->help = is_on(parse->common_values[4]);
	args->profile = parse->common_values[0] != NULL ? parse->common_values[0] : getenv("MONOKUBE_PROFILE");
	if (args->profile == NULL || args->profile[0] == '\0')
		args->profile = "monokube";
	output = parse->common_values[1] != NULL ? parse->common_values[1] : "text";
	args->json = strcmp(output, "json") == 0;
	args->quiet = is_on(parse->common_values[2]);
	args->verbose = is_on(parse->common_values[3]);
	if (parse->help)
		return NULL;
	if (!args->json && strcmp(output, "text") != 0)
		return usage(command, "--output takes text or json, not ", output, "");
	if (args->n_operands < command->min_operands)
		return usage(command, "an operand is missing: ", command->operands, "");
	if (args->n_operands > command->max_operands)
		return usage(command, "one operand too many: ", args->operands[command->max_operands], "");
	return NULL;
}

static const char *value_of(const struct args *args, const char *name, bool *known)
{
	for (size_t i = 0; i < MAX_FLAGS && args->command->flags[i].name != NULL; i++)
		if (strcmp(args->command->flags[i].name, name) == 0) {
			*known = true;
			return args->values[i];
		}
	*known = false;
	return NULL;
}

const char *flag_text(const struct args *args, const char *name)
{
	bool known;
	const char *value = value_of(args, name, &known);

	ASSERT(known);
	return value;
}

int64_t flag_number(const struct args *args, const char *name)
{
	const char *value = flag_text(args, name);
	int64_t n = 0;

	if (value != NULL)
		str_to_i64(str_from(value), &n);
	return n;
}

bool flag_switch(const struct args *args, const char *name)
{
	return is_on(flag_text(args, name));
}

/* What follows word in the name of a command of two words, NULL for any other command. */
static const char *second_word(const struct command *command, const char *word)
{
	size_t len = strlen(word);

	return strncmp(command->name, word, len) == 0 && command->name[len] == ' ' ? command->name + len + 1 : NULL;
}

/* "node" for "node list", "node start", …: help for all of them. False when nothing starts with that word. */
static bool print_group(const char *word)
{
	bool any = false;

	for (size_t i = 0; i < n_commands; i++) {
		if (second_word(commands[i], word) == NULL)
			continue;
		if (!any)
			printf("Usage: monokube %s COMMAND [flags]\n\nCommands:\n", word);
		any = true;
		printf("  %-16s %s\n", commands[i]->name, commands[i]->summary);
	}
	return any;
}

/* Words of minikube's that mean something else here, or nothing. */
static const struct {
	const char *word, *advice;
} strangers[] = {
	{ "addons", "There are none; 'kubectl apply -f' or helm installs what you need." },
	{ "dashboard", "There is none yet; 'kubectl get all -A' shows what runs." },
	{ "ip", "'kubectl get nodes -o wide' shows the nodes' addresses." },
	{ "kubectl", "Use kubectl itself: 'monokube start' chose the context." },
	{ "service", "'kubectl get services' shows addresses that answer from here." },
	{ "ssh", "A node is no machine; 'kubectl exec' leads into its pods." },
	{ "tunnel", "None is needed: Services of type LoadBalancer have addresses that answer from here." },
	{ "update-context", "'monokube start' writes the context anew." },
};

static const char *advice_for(const char *word)
{
	for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++)
		if (strcmp(strangers[i].word, word) == 0)
			return strangers[i].advice;
	return "'monokube help' lists the commands.";
}

static int unknown(struct arena *arena, const char *word, const char *next)
{
	const char *known = NULL;

	for (size_t i = 0; i < n_commands; i++) {
		const char *second = second_word(commands[i], word);

		if (second != NULL)
			known = known == NULL ? second : arena_printf(arena, "%s, %s", known, second);
	}
	if (known == NULL)
		return ui_fail(error_advise(error_new(ERR_USAGE, "there is no command '%s'", word), "%s", advice_for(word)));
	if (next == NULL)
		return ui_fail(
			error_advise(error_new(ERR_USAGE, "monokube %s needs one word more", word), "Say which: %s.", known));
	return ui_fail(error_advise(error_new(ERR_USAGE, "there is no command '%s %s'", word, next), "There is: %s.", known));
}

static struct error *run_help(struct args *args)
{
	char *argv[] = { NULL, NULL, NULL };
	const struct command *command;
	int used;

	if (args->n_operands == 0) {
		print_commands(stdout);
		return NULL;
	}
	for (size_t i = 0; i < args->n_operands; i++)
		argv[i + 1] = arena_strdup(args->arena, args->operands[i]);
	command = find_command((int)args->n_operands + 1, argv, &used);
	if (command != NULL && !command->hidden && (size_t)used == args->n_operands + 1)
		print_help(command);
	else if (args->n_operands != 1 || !print_group(args->operands[0]))
		return error_advise(error_new(ERR_USAGE, "there is no command '%s%s%s'", args->operands[0],
					      args->n_operands > 1 ? " " : "", args->n_operands > 1 ? args->operands[1] : ""),
				    "'monokube help' lists the commands.");
	return NULL;
}

const struct command help_command = { .name = "help",
				      .operands = "[COMMAND]",
				      .summary = "Lists the commands, or explains one",
				      .run = run_help,
				      .max_operands = 2 };

/* "-p demo status" is "status -p demo": flags of every command may come before it. Says how many words they are. */
static struct error *take_leading(struct parse *parse, int argc, char **argv, int *words)
{
	struct error *err = NULL;
	int i = 1;

	for (; err == NULL && i < argc && argv[i][0] == '-' && strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-h") != 0; i++)
		err = take_flag(parse, &help_command, argc, argv, &i);
	*words = i - 1;
	return err;
}

int main(int argc, char **argv)
{
	struct arena *arena = arena_new();
	struct args args = { .arena = arena };
	struct parse parse = { .args = &args };
	const struct command *command;
	struct error *err;
	const char *next;
	int used = 0, code = 0, leading;

	/* As a container's entry point the program is called by its image's name. */
	if (argc > 0 && strcmp(argv[0], "/monokube") == 0 && argc < 2) {
		print_commands(stderr);
		arena_free(arena);
		return 14;
	}
	err = take_leading(&parse, argc, argv, &leading);
	if (err != NULL) {
		code = ui_fail(err);
		arena_free(arena);
		return code;
	}
	argc -= leading;
	argv += leading;
	next = argc > 2 ? argv[2] : NULL;
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_commands(argc < 2 ? stderr : stdout);
		arena_free(arena);
		return argc < 2 ? 14 : 0;
	}
	command = find_command(argc, argv, &used);
	if ((command == NULL || command->hidden) && next != NULL && (strcmp(next, "--help") == 0 || strcmp(next, "-h") == 0) &&
	    print_group(argv[1])) {
		arena_free(arena);
		return 0;
	}
	/* "node" alone is the node process, which takes only flags; a person who types a word means one of the commands. */
	if (command == NULL || (command == &node_command && (next == NULL || next[0] != '-'))) {
		code = unknown(arena, argv[1], next);
		arena_free(arena);
		return code;
	}
	if (command->raw != NULL && !command->hidden && next != NULL && (strcmp(next, "--help") == 0 || strcmp(next, "-h") == 0)) {
		print_help(command);
		arena_free(arena);
		return 0;
	}
	if (command->raw != NULL) {
		arena_free(arena);
		return command->raw(argc - 1, argv + 1);
	}
	ui_open(command->name, false, false, 0);
	err = parse_args(&parse, command, argc, argv, used);
	if (err == NULL && parse.help) {
		print_help(command);
	} else if (err == NULL) {
		ui_open(command->name, args.json, args.quiet, 0);
		err = command->run(&args);
		if (err == NULL)
			ui_done();
	}
	if (err != NULL && parse.common_values[1] != NULL && strcmp(parse.common_values[1], "json") == 0)
		ui_open(command->name, true, args.quiet, 0); /* also when the flags after it were wrong */
	if (err != NULL)
		code = ui_fail(err);
	arena_free(arena);
	return code;
}
