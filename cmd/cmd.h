/*
 * The command line: one file and one row per command; help, usage errors and completion come from the row. Private to cmd.
 *
 * A command gets its parsed flags and operands, prints its answer on stdout and its story on stderr (ui.h), and returns an
 * error or NULL; main() turns the error's kind into the exit code and its three parts into text.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "base/base.h"

enum flag_kind { FLAG_TEXT, FLAG_NUMBER, FLAG_SWITCH, FLAG_SECONDS };

struct flag {
	const char *name; /* "nodes" */
	char letter;      /* 'n', or 0 */
	enum flag_kind kind;
	const char *value; /* default, or NULL */
	const char *help;  /* one line */
};

#define MAX_FLAGS 24

struct args {
	struct arena *arena;
	const struct command *command;
	const char *values[MAX_FLAGS]; /* by row of the command's flags; NULL: not given and no default */
	bool given[MAX_FLAGS];
	const char **operands;
	size_t n_operands;
	const char *profile; /* of every command */
	bool json;           /* -o json */
	bool quiet, verbose;
};

struct command {
	const char *name;     /* "start", or "node start" */
	const char *operands; /* "NAME…", "" */
	const char *summary;  /* one line */
	struct error *(*run)(struct args *args)MUST_CHECK;
	struct flag flags[MAX_FLAGS]; /* ends with an empty name */
	size_t min_operands, max_operands;
	bool hidden;
	int (*raw)(int argc, char **argv); /* gets argv as it is instead: node, oci */
};

extern const struct command *const commands[];
extern const size_t n_commands;

const char *flag_text(const struct args *args, const char *name);
int64_t flag_number(const struct args *args, const char *name);
bool flag_switch(const struct args *args, const char *name);

#endif
