/*
 * The OCI runtime specification: a bundle's config.json as a struct runtime_spec. Pure, except that namespaces named by
 * path are opened. What the specification allows and we do not do (hooks, time namespaces, …) is ERR_UNSUPPORTED, never ignored.
 */
#ifndef RUNTIME_OCI_H
#define RUNTIME_OCI_H

#include "json/json.h"
#include "runtime/runtime.h"

struct error *oci_spec_read(struct arena *arena, const struct json *config, const char *bundle, const char *id,
			    struct runtime_spec *out) MUST_CHECK;

/* The seccomp object of config.json, or a Localhost profile. */
struct error *oci_seccomp_read(struct arena *arena, const struct json *seccomp, struct runtime_seccomp *out) MUST_CHECK;

/* "TERM", "SIGTERM", "15"; 0 when unknown. */
int oci_signal_parse(const char *text);

#endif
