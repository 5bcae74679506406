/* monokube version */
#include <stdio.h>

#include "cmd/cmd.h"

static struct error *run(struct args *args)
{
	if (args->json)
		printf("{\"version\":\"%s\",\"kubernetes\":\"v1.36.3\"}\n", MONOKUBE_VERSION);
	else
		printf("monokube %s (Kubernetes v1.36.3)\n", MONOKUBE_VERSION);
	return NULL;
}

const struct command version_command = { .name = "version", .operands = "", .summary = "Says which version this is", .run = run };
