/* Commands that read their own argv: the node process and the OCI runtime. */
#include "cmd/cmd.h"
#include "runtime/runtime.h"

const struct command node_command = {
	.name = "node", .operands = "", .summary = "A node process (started by the server)", .raw = node_main, .hidden = true
};
const struct command oci_command = {
	.name = "oci", .operands = "create|start|state|kill|delete|run …", .summary = "An OCI runtime", .raw = oci_main
};
