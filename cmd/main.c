/* From argv to a row of the command table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/ui.h"

extern const struct command start_command, stop_command, delete_command, status_command, profile_list_command,
	profile_command, node_list_command, node_start_command, node_stop_command, image_load_command, image_ls_command,
	image_rm_command, logs_command, kubeconfig_command, doctor_command, version_command, completion_command,
	server_command, node_command, oci_command, hello_command, help_command;

const struct command *const commands[] = {
	&start_command, &stop_command, &delete_command, &status_command, &profile_list_command, &profile_command,
	&node_list_command, &node_start_command, &node_stop_command, &image_load_command, &image_ls_command,
	&image_rm_command, &logs_command, &kubeconfig_command, &doctor_command, &version_command, &completion_command,
	&help_command, &server_command, &oci_command, &node_command, &hello_command,
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
			 flags[i].kind == FLAG_SWITCH ? "" : flags[i].kind == FLAG_TEXT ? " TEXT" : " N");
		printf("  %-28s %s%s%s%s\n", left, flags[i].help, flags[i].value != NULL ? " (default " : "",
		       flags[i].value != NULL ? flags[i].value : "", flags[i].value != NULL ? ")" : "");
	}
}

static void print_help(const struct command *command)
{
	printf("%s\n\nUsage: monokube %s%s%s [flags]\n\nFlags:\n", command->summary, command->name,
	       command->operands[0] != '\0' ? " " : "", command->operands);
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

static struct error *usage(const struct command *command, const char *format, const char *word)
{
	struct error *err = error_new(ERR_USAGE, format, word);

	return error_advise(err, "See 'monokube %s --help'.", command->name);
}

static struct error *check_value(const struct command *command, const struct flag *flag, const char *value)
{
	int64_t n;

	if ((flag->kind == FLAG_NUMBER || flag->kind == FLAG_SECONDS) && (!str_to_i64(str_from(value), &n) || n < 0))
		return usage(command, "--%s takes a whole number", flag->name);
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
		return usage(command, "unknown flag %s", word);
	flag = is_common ? &common[row] : &command->flags[row];
	if (flag->kind == FLAG_SWITCH) {
		value = value != NULL ? value : "true";
	} else if (value == NULL) {
		if (*at + 1 >= argc)
			return usage(command, "--%s needs a value", flag->name);
		value = argv[++*at];
	}
	if (is_common) {
		parse->common_values[row] = value;
		return NULL;
	}
	parse->args->values[row] = value;
	parse->args->given[row] = true;
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
		if (err != NULL)
			return err;
	}
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
		return usage(command, "--output takes text or json, not %s", output);
	if (args->n_operands < command->min_operands)
		return usage(command, "something is missing: monokube %s needs an operand", command->name);
	if (args->n_operands > command->max_operands)
		return usage(command, "too much: %s", args->operands[command->max_operands]);
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

static struct error *run_help(struct args *args)
{
	(void)args;
	print_commands(stdout);
	return NULL;
}

const struct command help_command = { .name = "help", .operands = "", .summary = "Lists the commands", .run = run_help };

static int unknown(const char *word)
{
	return ui_fail(error_advise(error_new(ERR_USAGE, "there is no command '%s'", word),
				    "'monokube help' lists the commands."));
}

int main(int argc, char **argv)
{
	struct arena *arena = arena_new();
	struct args args = { .arena = arena };
	struct parse parse = { .args = &args };
	const struct command *command;
	struct error *err;
	int used = 0, code = 0;

	/* As a container's entry point the program is called by its image's name. */
	if (argc > 0 && strcmp(argv[0], "/monokube") == 0 && argc < 2) {
		print_commands(stderr);
		arena_free(arena);
		return 14;
	}
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_commands(argc < 2 ? stderr : stdout);
		arena_free(arena);
		return argc < 2 ? 14 : 0;
	}
	command = find_command(argc, argv, &used);
	if (command == NULL) {
		arena_free(arena);
		return unknown(argv[1]);
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
	if (err != NULL)
		code = ui_fail(err);
	arena_free(arena);
	return code;
}
