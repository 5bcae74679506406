/*
 * A node, or the hub, that the server lost sight of while it ran.
 *
 * A connection that ends says nothing of the process: whoever answers is asked which run of it that is.
 *
 *	the same one          nothing is lost, and nothing is touched
 *	another node          what held a handle into the old namespaces starts anew with handles into the new ones
 *	another hub           all nodes get a new link into it; all else in them goes on
 *	nobody, for a node    it stays away until `node start`, as a machine would; its kubelet says NotReady
 *	nobody, for the hub   which nobody sees: it is started again
 */
#include <string.h>

#include "cmd/machine.h"
#include "kubelet/kubelet.h"
#include "proxy/proxy.h"

#define RETRY (20 * NS_PER_MS)
#define AWAY  (200 * NS_PER_MS) /* between looks for a node that is stopped */

static task_fn recognize, relink, go_on, stop_old, take_new, join_node, listen_new, start_new, take_hub, join_hub, rejoin_all;

static const struct task_step node_steps[] = {
	{ "recognize", recognize, NULL },
	{ "link to the hub", relink, NULL },
	{ "go on", go_on, NULL },
	{ "stop what held the old node", stop_old, NULL },
	{ "take handles", take_new, NULL },
	{ "join network", join_node, NULL },
	{ "listen in the node", listen_new, NULL },
	{ "kubelet, proxy, dns", start_new, NULL },
	{ NULL, NULL, NULL },
};

static const struct task_step hub_steps[] = {
	{ "recognize", recognize, NULL },
	{ "take handles", take_hub, NULL },
	{ "join host", join_hub, NULL },
	{ "join nodes", rejoin_all, NULL },
	{ NULL, NULL, NULL },
};

static enum task_result recognize(struct task *task, void *arg)
{
	struct machine *m = arg;

	if (m->conn == NULL)
		return task_fail(task, error_new(ERR_UNAVAILABLE, "node process %s is gone", m->name));
	node_conn_instance(m->conn, task, m->answers);
	return TASK_WAIT;
}

static bool is_the_same(const struct machine *m)
{
	return strcmp(m->answers, m->instance) == 0;
}

static bool has_its_hub(const struct machine *m)
{
	return m->index == HUB_INDEX || strcmp(m->hub, m->nodes->hub.instance) == 0;
}

static enum task_result relink(struct task *task, void *arg)
{
	struct machine *m = arg;

	if (!is_the_same(m))
		return TASK_NEXT;
	return has_its_hub(m) ? TASK_DONE : machine_join(task, m->nodes, false, m, 1);
}

/* With the old link went its addresses and routes. */
static enum task_result go_on(struct task *task, void *arg)
{
	struct machine *m = arg;

	(void)task;
	if (!is_the_same(m))
		return TASK_NEXT;
	nodes_route(m->nodes);
	kubelet_uplink_anew(m->kubelet);
	proxy_uplink_anew(m->proxy);
	return TASK_DONE;
}

static void kubelet_let_go(void *arg)
{
	task_wake(arg, NULL);
}

static enum task_result stop_old(struct task *task, void *arg)
{
	struct machine *m = arg;
	struct kubelet *kubelet = m->kubelet;

	m->instance[0] = '\0'; /* from here on it has to come to its end, whoever answers the next time */
	machine_stop_components(m);
	m->kubelet = NULL;
	if (kubelet == NULL)
		return TASK_NEXT;
	task_hold(task);
	kubelet_stop(kubelet, kubelet_let_go, task);
	return TASK_WAIT;
}

static enum task_result take_new(struct task *task, void *arg)
{
	struct machine *m = arg;
	struct error *err;

	machine_drop_handles(m);
	err = machine_take_handles(m, task);
	return err != NULL ? task_fail(task, err) : TASK_WAIT;
}

static enum task_result join_node(struct task *task, void *arg)
{
	struct machine *m = arg;

	return machine_join(task, m->nodes, false, m, 1);
}

static enum task_result listen_new(struct task *task, void *arg)
{
	struct error *err = machine_listen(arg);

	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

static enum task_result start_new(struct task *task, void *arg)
{
	struct error *err = machine_start_components(arg);

	return err != NULL ? task_fail(task, err) : TASK_DONE;
}

static enum task_result take_hub(struct task *task, void *arg)
{
	return is_the_same(arg) ? TASK_DONE : take_new(task, arg);
}

static enum task_result join_hub(struct task *task, void *arg)
{
	return machine_join(task, ((struct machine *)arg)->nodes, true, NULL, 0);
}

static void rejoin(struct machine *m);

static enum task_result rejoin_all(struct task *task, void *arg)
{
	struct nodes *nodes = ((struct machine *)arg)->nodes;

	(void)task;
	for (size_t i = 0; i < nodes->n; i++)
		if (nodes->machines[i].conn != NULL && nodes->machines[i].rejoining == NULL)
			rejoin(&nodes->machines[i]);
	return TASK_DONE;
}

/* --- one after the other, until it is done --- */

/* What waits for an answer is told now, and must not find it any more. */
static void let_go(struct machine *m)
{
	struct node_conn *conn = m->conn;

	m->conn = NULL;
	node_conn_close(conn);
}

static void look_for_process(void *arg)
{
	struct machine *m = arg;
	struct error *err = node_conn_open(m->socket, machine_gone, m, &m->conn);

	if (err == NULL) {
		rejoin(m);
		return;
	}
	error_free(err);
	if (m->index == HUB_INDEX && !m->starting) {
		machine_drop_handles(m); /* they would keep its namespace, and nodes would join that */
		log_consume(LOG_ERROR, machine_start_process(m, NULL), "start the hub again");
	}
	loop_timer_start(&m->retry, m->index == HUB_INDEX ? RETRY : AWAY, look_for_process, m);
}

static void rejoined(void *arg, struct error *err)
{
	struct machine *m = arg;

	m->rejoining = NULL;
	if (m->nodes->stopping != NULL) {
		error_free(err);
		nodes_let_go(m->nodes);
		return;
	}
	if (err == NULL && m->conn != NULL) {
		if (is_the_same(m) && has_its_hub(m))
			log_info("node is back", "node=%s", m->name);
		else
			rejoin(m); /* it, or the hub, went meanwhile */
		return;
	}
	log_consume(LOG_WARN, err, "a node was not joined");
	m->hub[0] = '\0';
	let_go(m);
	loop_timer_start(&m->retry, RETRY, look_for_process, m);
}

static void rejoin(struct machine *m)
{
	m->found = false;
	m->rejoining = task_start(&(struct task_options){ .name = "rejoin node",
							  .subject = m->name,
							  .steps = m->index == HUB_INDEX ? hub_steps : node_steps,
							  .arg = m,
							  .timeout = 30 * NS_PER_S,
							  .done = rejoined });
}

/* Asked at once: it may live. */
void machine_await(struct machine *m)
{
	loop_timer_start(&m->retry, 0, look_for_process, m);
}

void machine_gone(void *arg)
{
	struct machine *m = arg;

	log_warn("connection to a node process ended", "node=%s", m->name);
	let_go(m);
	if (m->nodes->stopping == NULL && m->nodes->informer != NULL && m->rejoining == NULL)
		machine_await(m); /* else what is under way fails, and looks again */
}

void machine_forsake(struct machine *m)
{
	loop_timer_stop(&m->retry);
	if (m->rejoining == NULL)
		return;
	m->nodes->open++;
	task_cancel(m->rejoining, error_new(ERR_CANCELED, "the nodes are let go"));
}
