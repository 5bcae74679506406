/* `driver node …` and `driver oci …`: what `monokube node` and `monokube oci` are, without the rest. */
#include <stdio.h>
#include <string.h>

#include "runtime/runtime.h"

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "node") == 0)
		return node_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "oci") == 0)
		return oci_main(argc - 1, argv + 1);
	fprintf(stderr, "driver node|oci …\n");
	return 14;
}
