/*
 * The kubelet from within.
 *
 *	informer of pods ──► struct pod (pod.c): a state, and at most one task: start sandbox, start container, stop
 *	node process ◄─────► link.c ──► runs (found.c) ──► pod_plan() (plan.c) says what is next
 *	                                            └──► pod_status() (status.c) says what to tell ──► status_write.c
 *
 * A pod is looked at by look() of pod.c, which may be asked for by anybody at any time (pod_poke()) and decides anew each
 * time; nothing else starts tasks. While the node process is away nothing is decided.
 */
#ifndef KUBELET_PRIVATE_H
#define KUBELET_PRIVATE_H

#include <signal.h>

#include "api/api.h"
#include "api/quantity.h"
#include "http/http.h"
#include "image/image.h"
#include "kubelet/kubelet.h"
#include "kubelet/plan.h"
#include "runtime/node.h"

#define KUBELET_VERSION   "v1.36.3"
#define PODS_DIR          "/var/lib/kubelet/pods"
#define LOGS_DIR          "/var/log/pods"
#define CALL_TIMEOUT      (60 * NS_PER_S)
#define MESSAGE_MOST      4096 /* termination message; kubecontainer.MaxContainerTerminationMessageLength… */
#define MESSAGE_LOG_MOST  2048
#define MESSAGE_LOG_LINES 80

struct kubelet;
struct pod;
struct container;

/* --- one run of a container: what the node process told, and what we made of it --- */

struct run {
	char *id;
	unsigned attempt;
	bool exited;
	bool running;
	int exit_code, signal;
	bool oom_killed, lost;
	int64_t created_at, started_at, finished_at;
	char *reason;  /* of its end when it is special: "ContainerCannotRun", …; NULL */
	char *message; /* of its end; NULL */
	char *image, *image_id;
	int stop_signal;
};

struct run *run_new(const char *id, unsigned attempt);
void run_free(struct run *run);

/* --- probes (probe.c) --- */

enum probe_kind { PROBE_STARTUP, PROBE_LIVENESS, PROBE_READINESS, PROBE_KINDS };

struct probe {
	struct container *container;
	enum probe_kind kind;
	bool set;                /* the container has one */
	bool timer_on;           /* liveness, readiness: begun */
	bool passed;             /* last verdict */
	int successes, failures; /* in a row */
	struct loop_timer timer;
	struct action *action; /* under way */
};

void probes_start(struct container *container); /* after its start, or when it was found running */
void probes_stop(struct container *container);

/* One exec, httpGet, tcpSocket, grpc or sleep, as probes and lifecycle hooks have them. done comes later, once, unless
 * canceled; text is borrowed, why it failed. */
enum action_end {
	ACTION_OK,
	ACTION_FAILED,
	ACTION_LOST, /* the connection to the node broke: nobody knows */
};
struct action *action_start(struct container *container, const struct json *handler, int64_t timeout,
			    void (*done)(void *arg, enum action_end end, const char *text), void *arg);
void action_cancel(struct action *action); /* NULL is fine */

/* dial.c: connected comes once, later; err reads as Go's: "dial tcp 10.244.0.7:80: connect: connection refused". */
struct dialing;
struct dial_target {
	const char *sandbox; /* where it starts; NULL: the node */
	struct ip ip;
	uint16_t port;
};
struct dialing *dial_start(struct kubelet *kubelet, const struct dial_target *target,
			   void (*connected)(void *to, struct error *err, struct stream *stream), void *to);
void dial_cancel(struct dialing *dialing); /* connected does not come */
void dials_stop(struct kubelet *kubelet);  /* connected comes now, with ERR_CANCELED */

void actions_exec_exited(struct kubelet *kubelet, const struct node_exec_exit *exit);
void actions_node_lost(struct kubelet *kubelet);

/* --- pods --- */

struct container {
	struct pod *pod;
	char *name;
	enum plan_kind kind;
	size_t index;     /* in pod->containers */
	struct run *now;  /* of this sandbox, or the one before when `again` */
	struct run *last; /* the end before */
	bool busy;        /* being made */
	bool replaced;    /* its spec changed: `now` was told to end, and the next one starts at once */
	bool again;       /* `now` belongs to an older sandbox: it counts as not made yet */
	struct backoff backoff;
	struct backoff image_backoff;
	int64_t not_before;
	unsigned told_back_off; /* 1 + attempt whose back-off was told as an event */
	char *wait_reason, *wait_message;
	bool started;
	bool ready;
	struct probe probes[PROBE_KINDS];
	struct task *stopping;
	VEC(struct task *) exit_waiters; /* held until it has ended */
};

enum pod_state {
	POD_NEW,      /* not looked at yet */
	POD_WAITING,  /* no sandbox */
	POD_STARTING, /* a sandbox is being made */
	POD_ACTIVE,   /* has a sandbox */
	POD_STOPPING, /* its containers are being ended */
	POD_OVER,     /* they have; the API object may stay */
	POD_REMOVING, /* what it left on the node goes */
	POD_GONE,     /* only the API object may be left */
	POD_STATES,
};

struct pod {
	struct kubelet *kubelet;
	char *uid, *ns, *name;
	struct object *object; /* newest seen */
	bool object_gone;      /* no longer in the API */
	bool no_object;        /* only found on the node */
	uint64_t cause;
	struct fsm state;
	struct task *task;
	struct loop_call poke;
	struct loop_timer timer;
	char *sandbox; /* id; NULL: none */
	unsigned sandbox_attempt;
	bool sandbox_ready;
	struct ip ip;                       /* as it is told */
	struct ip address;                  /* of the node's range, while it holds one: until its sandbox has stopped */
	VEC(struct container *) containers; /* init containers first */
	const char *rejected;               /* reason, when it was not admitted */
	char *rejected_message;
	int sandbox_failures;
	int64_t sandbox_not_before, stop_not_before;
	int64_t start_time;
	struct list stoppings; /* of its containers, under way */
	bool over;             /* decided: nothing of it will run any more */
	bool volumes_stale;    /* something they show has changed */
	void *status_call, *delete_call;
	struct task *teller; /* waits until the status is written */
	bool deleted_told;
	struct arena *posted_arena;
	const struct json *posted, *posted_result; /* what was written last, and what the server made of it */
	int64_t status_not_before;
	struct map tokens;   /* "volume/path" → struct token */
	VEC(char *) rubbish; /* ids of containers to be removed */
};

struct token {
	char *text;
	int64_t refresh_at;
};

void pod_poke(struct pod *pod); /* look at it soon */
void pod_poke_at(struct pod *pod, int64_t now_ns);
struct pod *pod_new(struct kubelet *kubelet, struct object *object);
/* Only found on the node: its sandbox, or (NULL) a container that lost it. */
struct pod *pod_new_orphan(struct kubelet *kubelet, const char *uid, const struct node_sandbox *sandbox);
void pod_set_object(struct pod *pod, struct object *object, uint64_t revision);
void pod_free(struct pod *pod);
/* found.c: the node process tells what it has: all of it, after a connection. */
void pod_found_sandbox(struct pod *pod, const struct node_sandbox *sandbox);
void pod_found_container(struct pod *pod, const struct node_container *found);
void pod_found_all(struct pod *pod); /* after the two above */
void pod_container_exited(struct pod *pod, const struct node_container *found);
void pod_node_lost(struct pod *pod);
const struct json *pod_tree(const struct pod *pod);
const struct json *container_spec(const struct container *container);
struct container *pod_container(const struct pod *pod, struct str name);
bool pod_is_deleted(const struct pod *pod);
bool pod_host_network(const struct pod *pod);
void pod_plan_view(const struct pod *pod, struct plan_container *out); /* out: containers.len of them */
void container_kill(struct container *container, const char *message); /* it failed a probe; it will be restarted */
void pod_event(struct pod *pod, struct container *container, const char *type, const char *reason, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* admit.c: whether it fits; otherwise it becomes Failed, now and for good. */
bool pod_admit(struct pod *pod);

/* Tasks, each with pod as argument (start.c, stop.c). done(pod, err). Their tables are open for whoever wants to go through
 * all steps: tests/crash ends the server at each of them. */
extern const struct task_step start_sandbox_steps[], start_container_steps[], stop_container_steps[], stop_pod_steps[];
struct task *pod_start_sandbox(struct pod *pod, void (*done)(void *arg, struct error *err));
struct task *pod_start_container(struct container *container, void (*done)(void *arg, struct error *err));
void pod_hurry(struct pod *pod, int64_t grace);
/* TERM, grace, KILL, teardown of network and sandbox; with remove also everything it left. */
struct task *pod_stop(struct pod *pod, int64_t grace, bool remove, void (*done)(void *arg, struct error *err));

/* --- status (status.c is pure, status_write.c writes) --- */

struct status_input {
	const struct json *pod; /* as the API has it */
	struct ip pod_ip, host_ip;
	int64_t start_time;
	bool sandbox_ready;
	bool over;
	const char *rejected, *rejected_message;
	const struct status_container {
		struct plan_container plan;
		const struct run *now, *last;
		bool again, ready;
		const char *wait_reason, *wait_message;
	} * containers;
	size_t n;
	int64_t now;
};
const struct json *pod_status(struct arena *arena, const struct status_input *in);
void pod_write_status(struct pod *pod);
/* A step: waits until the API has all there is to tell, so that what it was told from may go. */
enum task_result pod_tell(struct task *task, struct pod *pod);
void pod_told(struct pod *pod, struct error *err); /* such a step need not wait any more; takes err */
void pod_delete_object(struct pod *pod);
void pod_status_cancel(struct pod *pod);

/* --- environment, files (pure) --- */

/* What a pod may ask about itself and its surroundings. */
struct facts {
	const struct json *pod;
	struct str pod_ip, host_ip;
	const struct json *const *services; /* of its namespace, and default/kubernetes */
	size_t n_services;
	/* "ConfigMap", "Secret": of its namespace; NULL: absent */
	const struct json *(*find)(void *arg, const char *kind, struct str name);
	void *arg;
	int64_t node_cpu_milli, node_memory, node_storage; /* allocatable */
};

/* Errors are in the words of CreateContainerConfigError. The first `own` are visible to $(NAME); the image's come last.
 */
struct error *env_build(struct arena *arena, const struct facts *facts, const struct json *container, const struct str *image_env,
			size_t n_image_env, const char ***env, size_t *n, size_t *own) MUST_CHECK;
/* $(NAME) and $$ in text, with the variables of env. */
struct str env_expand(struct arena *arena, struct str text, const char *const *env, size_t n);
struct error *facts_field(struct arena *arena, const struct facts *facts, struct str path, struct str *out) MUST_CHECK;
struct error *facts_resource(struct arena *arena, const struct facts *facts, const struct json *ref, struct str container,
			     struct str *out) MUST_CHECK;

struct payload_file {
	struct str path;
	struct str data;
	unsigned mode;
	int64_t owner; /* -1: root */
};
struct payload {
	struct arena *arena;
	VEC(struct payload_file) files;
};
/* What a configMap, secret, downwardAPI or projected volume shows. token(): text of a serviceAccountToken source. */
struct error *payload_build(struct arena *arena, const struct facts *facts, const struct json *volume,
			    struct str (*token)(void *arg, struct str volume, struct str path), void *arg,
			    struct payload *out) MUST_CHECK;
/* As upstream's atomic writer: ..data points to a directory of this moment; names point through it. */
struct error *payload_write(int dir, const struct payload *payload, int64_t group) MUST_CHECK;

struct str hosts_file(struct arena *arena, const struct json *pod, struct str pod_ip, struct str domain);
struct str resolv_conf(struct arena *arena, const struct json *pod, struct str dns_ip, struct str domain, struct str node_conf);
struct str pod_hostname(struct arena *arena, const struct json *pod);
struct str pod_subdomain_fqdn(struct arena *arena, const struct json *pod, struct str domain); /* empty: none */

/* --- volumes (volumes.c) --- */

/* Where a volume is, as a path in the node. */
const char *volume_path(struct arena *arena, const struct pod *pod, const struct json *volume);
bool volume_is_payload(const struct json *volume);
bool volume_is_tmpfs(const struct json *volume);
/* A step: files, directories, mounts. Errors name the volume in upstream's words. */
enum task_result volumes_fetch(struct task *task, struct pod *pod);
enum task_result volumes_make(struct task *task, struct pod *pod);
enum task_result volumes_mount(struct task *task, struct pod *pod);
enum task_result volumes_fill(struct task *task, struct pod *pod);
enum task_result volumes_unmount(struct task *task, struct pod *pod);
void facts_of(struct arena *arena, struct pod *pod, struct facts *out);
/* Something that they show changed: written again, when nothing else is under way. */
struct task *volumes_refresh(struct pod *pod, void (*done)(void *arg, struct error *err));
/* Whether a volume shows that ConfigMap or Secret. */
bool volumes_show(const struct pod *pod, const char *kind, struct str name);
const char *pod_dir(struct arena *arena, const struct pod *pod);

/* --- files below the node's root, from the machine: no link leads out (files.c) --- */

struct error *root_mkdir(struct kubelet *kubelet, const char *path, unsigned mode) MUST_CHECK; /* with parents */
struct error *root_write(struct kubelet *kubelet, const char *path, struct str content, unsigned mode) MUST_CHECK;
struct error *root_open(struct kubelet *kubelet, const char *path, int flags, int *fd) MUST_CHECK;
/* At most `most` bytes from the start, or from the end. Absent: empty. */
struct str root_read(struct arena *arena, struct kubelet *kubelet, const char *path, size_t most, bool tail);
/* Each name in a directory, which fn must not change at once. */
void root_list(struct kubelet *kubelet, const char *path, void (*fn)(struct kubelet *kubelet, const char *name));
/* In a job; done(arg) afterwards. */
void root_remove(struct kubelet *kubelet, const char *path, void (*done)(void *arg, struct error *err), void *arg);

/* --- containers (spec.c) --- */

const char *log_dir(struct arena *arena, const struct pod *pod, const struct json *container);
const char *log_path(struct arena *arena, const struct container *container, unsigned attempt);
const char *termination_path(struct arena *arena, const struct container *container, unsigned attempt);
/* The whole request to the node. Errors are CreateContainerConfigError. */
struct error *container_request(struct arena *arena, struct container *container, const struct image *image, const char *ref,
				const char *id, unsigned attempt, struct node_container_create *out) MUST_CHECK;
void sandbox_request(struct arena *arena, struct pod *pod, const char *id, struct ip ip, struct node_sandbox_create *out);
int signal_number(const char *name); /* "SIGQUIT", "3"; NULL and others: SIGTERM */
const char *qos_class(const struct json *pod_spec);
/* Sum or maximum of what containers ask for, as the scheduler counts: "cpu" in thousandths, others in units. */
int64_t pod_request(const struct json *pod_spec, const char *resource);

/* --- network (network.c) --- */

/* One that no pod holds, into pod->address. What is taken is written down nowhere else, so nothing can be forgotten. */
struct error *pool_take(struct pod *pod) MUST_CHECK;
/* Steps of a task: the work is a job's, one after the other for each node. */
struct network_plug {
	struct str uid;
	struct ip ip;
	int netns, rtnl; /* of the pod; a socket inside it */
};
enum task_result network_plug(struct task *task, struct kubelet *kubelet, const struct network_plug *what) MUST_CHECK;
enum task_result network_unplug(struct task *task, struct kubelet *kubelet, struct str uid) MUST_CHECK;
/* Removes links of pods that are no more, and puts back the routes to those that are. */
void network_sweep(struct kubelet *kubelet);

/* --- the node process (link.c) --- */

struct link {
	struct node_client *client; /* NULL: not connected */
	struct loop_poll *poll;
	struct loop_timer retry;
	bool up;         /* it has told what it has */
	bool away;       /* nobody answers; a connection that broke is made anew before that is said */
	bool settled;    /* it has answered, or it was given up: before that there is nothing to say */
	bool told;       /* that it is away */
	int64_t since;   /* mono: up */
	int netns, rtnl; /* of this instance; -1 */
	char *trouble;   /* why it is away */
};

void link_start(struct kubelet *kubelet);
void link_stop(struct kubelet *kubelet);
/* NULL while the node process is away. */
struct node_client *link_client(struct kubelet *kubelet);
/* Answer of a call that a task waits for: wakes it. */
void link_woken(void *task, struct node_reply *reply);
/* The same, but nothing there is as good as done. */
void link_woken_absent(void *task, struct node_reply *reply);
struct error *link_absent_error(struct kubelet *kubelet) MUST_CHECK;

/* --- the Node object (node_object.c) --- */

struct node_post {
	struct loop_timer timer, lease_timer;
	void *call, *lease_call;
	struct object *written; /* by us, last */
	bool posted_ready, was_ready, dirty, has_lease;
	int64_t posted_at;
	int64_t cpu_milli, memory, storage;
};

void node_post_start(struct kubelet *kubelet);
void node_post_stop(struct kubelet *kubelet);
void node_post_soon(struct kubelet *kubelet); /* something about the node has changed */

/* --- HTTP (serve.c) --- */

struct http_server *serve_new(struct kubelet *kubelet);
void serve_stop(struct kubelet *kubelet);      /* followers end */
void serve_run_ended(struct kubelet *kubelet); /* followers look again */

/* Of a log file, for termination messages. */
struct str log_last_lines(struct arena *arena, struct kubelet *kubelet, const char *path);

/* --- the whole --- */

struct kubelet {
	struct arena *arena;
	struct kubelet_options options;
	struct client *client;
	int root; /* directory of the node */
	struct image_store *images;
	bool images_ready;
	struct informer *pods, *services, *config_maps, *secrets, *nodes;
	struct map by_uid; /* struct pod */
	struct link link;
	struct node_post post;
	struct http_server *http;
	struct list followers;   /* of logs */
	struct list sessions;    /* exec and attach under way */
	struct list actions;     /* with an exec under way */
	struct list forwardings; /* of ports */
	struct list dialings;
	struct loop_lane network_lane; /* of what uses link.rtnl */
	struct cidr pod_cidr;
	bool has_cidr;
	uint32_t next_address;
	bool informed; /* all informers have what they need */
	bool matched;  /* pods know what this instance of the node has of them */
	bool stopping;
	struct closegroup tasks; /* what must end before we are gone */
	void (*stopped)(void *arg);
	void *stopped_arg;
};

/* True when pods may be looked at: informed, and the node has told what it has. */
bool kubelet_may_work(const struct kubelet *kubelet);
/* What the node has was told: pods are matched with it. */
void kubelet_found(struct kubelet *kubelet, const struct node_list_reply *list);
void kubelet_lost(struct kubelet *kubelet); /* the connection; what runs may run on */
void kubelet_poke_all(struct kubelet *kubelet);
const char *label_of(const char *const *labels, size_t n, const char *key); /* NULL: none */
void random_id(char out[65]);
char *replace_text(char **place, const char *text); /* frees the old one; NULL is fine */

#define NO_EPHEMERAL "this version of monokube runs no ephemeral containers; 'kubectl debug --copy-to' makes a pod beside this one"

/* --- exec and attach (exec.c) --- */

/* Takes the request. */
void serve_exec(struct kubelet *kubelet, struct http_request *request, struct container *container, bool attach);
void sessions_exec_exited(struct kubelet *kubelet, const struct node_exec_exit *exit);
void sessions_node_lost(struct kubelet *kubelet);
void sessions_stop(struct kubelet *kubelet);

/* --- port-forward (forward.c) --- */

void serve_forward(struct kubelet *kubelet, struct http_request *request, struct pod *pod); /* takes the request */
void forwardings_stop(struct kubelet *kubelet);

#endif
