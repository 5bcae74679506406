#include "cmd/nodes.h"

enum task_result nodes_start(struct task *task, struct cluster *cluster)
{
	(void)task;
	(void)cluster;
	return TASK_NEXT;
}

enum task_result nodes_stop(struct task *task, struct cluster *cluster)
{
	(void)task;
	(void)cluster;
	return TASK_NEXT;
}

struct http_client *nodes_kubelet(struct nodes *nodes, struct str name)
{
	(void)nodes;
	(void)name;
	return NULL;
}
