/* What the person at the terminal sees. Answers go to stdout by printf; this is the story, on stderr. Private to cmd. */
#ifndef CMD_UI_H
#define CMD_UI_H

#include "base/error.h"

#define UI_ADVICE "  → " /* before what to do, on a line of its own */

/* How the story is told: text, or one JSON event per line on stdout (minikube's CloudEvents). */
void ui_open(const char *command, bool json, bool quiet, int total_steps);
/* A step begins; it ends with the next one, with ui_done() or with ui_fail(). */
void ui_step(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ui_done(void);
void ui_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ui_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Three parts: what, why, what to do. Returns the exit code. Takes err. */
int ui_fail(struct error *err);

#endif
