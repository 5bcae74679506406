/*
 * The connection to the node process: made, lost, made again. That a connection breaks says nothing of the process: it is
 * asked again at once, and only when nobody answers the node is not ready. What it has then tells what went.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/netlink.h>

#include "kubelet/private.h"

#define RETRY_FIRST (200 * NS_PER_MS)
#define PATIENCE    (4 * NS_PER_S) /* for its first answers */

static void try_connect(void *arg);

static void close_handles(struct link *link)
{
	if (link->netns >= 0)
		close(link->netns);
	if (link->rtnl >= 0)
		close(link->rtnl);
	link->netns = link->rtnl = -1;
}

static void disconnect(struct kubelet *kubelet)
{
	struct link *link = &kubelet->link;
	struct node_client *client = link->client;

	link->client = NULL;
	link->up = false;
	loop_poll_close(link->poll);
	link->poll = NULL;
	node_client_free(client);
	close_handles(link);
}

/* --- what the node process tells --- */

static void on_container_exited(void *arg, const struct node_container *container)
{
	struct kubelet *kubelet = arg;
	const char *uid = label_of(container->labels, container->n_labels, "uid");
	struct pod *pod = uid != NULL ? map_find(&kubelet->by_uid, str_from(uid)) : NULL;

	if (pod != NULL)
		pod_container_exited(pod, container);
}

static void on_exec_exited(void *arg, const struct node_exec_exit *exit)
{
	actions_exec_exited(arg, exit);
	sessions_exec_exited(arg, exit);
}

static void on_closed(void *arg, const struct error *err)
{
	struct kubelet *kubelet = arg;
	bool lasted = kubelet->link.up && clock_mono() - kubelet->link.since > NS_PER_S;

	log_warn("connection to the node process ended", "node=%s why=%s", kubelet->options.node_name,
		 err != NULL ? err->text : "it closed");
	disconnect(kubelet);
	if (kubelet->stopping)
		return;
	kubelet_lost(kubelet);
	loop_timer_start(&kubelet->link.retry, lasted ? 0 : RETRY_FIRST, try_connect, kubelet);
}

static const struct node_handlers handlers = { on_container_exited, on_exec_exited, on_closed };

/* --- making it --- */

static void is_away(struct kubelet *kubelet, const char *why)
{
	if (kubelet->link.away && kubelet->link.settled)
		return;
	kubelet->link.away = kubelet->link.settled = true;
	replace_text(&kubelet->link.trouble, why);
	node_post_soon(kubelet);
}

static void unanswered(void *arg)
{
	is_away(arg, "the node process does not answer");
}

static void give_up(struct kubelet *kubelet, struct error *err)
{
	is_away(kubelet, "the node process has ended");
	log_consume(kubelet->link.told ? LOG_DEBUG : LOG_WARN, err, "connect to node process");
	kubelet->link.told = true;
	disconnect(kubelet);
	loop_timer_start(&kubelet->link.retry, NS_PER_S, try_connect, kubelet);
}

static void got_list(void *arg, struct node_reply *reply)
{
	struct kubelet *kubelet = arg;

	if (kubelet->link.client == NULL || reply->err != NULL) /* on_closed() comes, or came */
		return;
	loop_timer_stop(&kubelet->link.retry);
	kubelet->link.up = true;
	kubelet->link.away = kubelet->link.told = false;
	kubelet->link.settled = true;
	kubelet->link.since = clock_mono();
	log_info("node process is here", "node=%s", kubelet->options.node_name);
	kubelet_found(kubelet, reply->body);
}

static void got_netns(void *arg, struct node_reply *reply)
{
	struct kubelet *kubelet = arg;

	kubelet->link.netns = node_reply_fd(reply);
}

static void got_rtnl(void *arg, struct node_reply *reply)
{
	struct kubelet *kubelet = arg;

	kubelet->link.rtnl = node_reply_fd(reply);
}

static void ignore(void *arg, struct node_reply *reply)
{
	(void)arg;
	(void)reply;
}

static void on_ready(void *arg, int events)
{
	struct kubelet *kubelet = arg;

	if (events & LOOP_WRITE && kubelet->link.client != NULL)
		node_client_writable(kubelet->link.client);
	if (events & (LOOP_READ | LOOP_HANGUP) && kubelet->link.client != NULL)
		node_client_readable(kubelet->link.client);
}

static int to_loop(short events)
{
	return ((events & POLLIN) != 0 ? LOOP_READ : 0) | ((events & POLLOUT) != 0 ? LOOP_WRITE : 0);
}

static void on_events(void *arg, short events)
{
	struct kubelet *kubelet = arg;

	if (kubelet->link.poll != NULL)
		loop_poll_change(kubelet->link.poll, to_loop(events));
}

static void try_connect(void *arg)
{
	struct kubelet *kubelet = arg;
	struct link *link = &kubelet->link;
	struct error *err = node_client_open(kubelet->options.node_socket, &handlers, kubelet, &link->client);

	if (err != NULL) {
		link->client = NULL;
		give_up(kubelet, err);
		return;
	}
	link->poll = loop_poll(node_client_fd(link->client), to_loop(node_client_events(link->client)), on_ready, kubelet);
	node_client_on_events(link->client, on_events, kubelet);
	/* answered in order; our own handles, because a node that was started again has another namespace */
	node_netns(link->client, &(struct node_ref){ 0 }, got_netns, kubelet);
	node_socket(link->client, &(struct node_socket){ .domain = AF_NETLINK, .type = SOCK_RAW, .protocol = NETLINK_ROUTE },
		    got_rtnl, kubelet);
	node_subscribe(link->client, &(struct node_nothing){ 0 }, ignore, kubelet);
	node_list(link->client, &(struct node_nothing){ 0 }, got_list, kubelet);
	loop_timer_start(&link->retry, PATIENCE, unanswered, kubelet);
}

void link_start(struct kubelet *kubelet)
{
	kubelet->link.netns = kubelet->link.rtnl = -1;
	kubelet->link.away = true;
	replace_text(&kubelet->link.trouble, "the node process has not answered yet");
	try_connect(kubelet);
}

void link_stop(struct kubelet *kubelet)
{
	loop_timer_stop(&kubelet->link.retry);
	disconnect(kubelet);
	replace_text(&kubelet->link.trouble, NULL);
}

/* --- for tasks --- */

struct node_client *link_client(struct kubelet *kubelet)
{
	return kubelet->link.up ? kubelet->link.client : NULL;
}

struct error *link_absent_error(struct kubelet *kubelet)
{
	return error_new(ERR_UNAVAILABLE, "node %s: its process is away", kubelet->options.node_name);
}

void link_woken(void *task, struct node_reply *reply)
{
	struct error *err = reply->err;

	reply->err = NULL;
	task_wake(task, err);
}

void link_woken_absent(void *task, struct node_reply *reply)
{
	struct error *err = reply->err;

	reply->err = NULL;
	if (err != NULL && err->kind == ERR_NOT_FOUND) {
		error_free(err);
		err = NULL;
	}
	task_wake(task, err);
}
