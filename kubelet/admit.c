/* Whether a new pod is taken: the sysctls it sets are safe, and the node has room for it. One that is not is rejected for good. */
#include <stdlib.h>
#include <string.h>

#include "kubelet/private.h"

static int64_t used(struct kubelet *kubelet, const struct pod *except, const char *resource)
{
	int64_t sum = 0;

	MAP_EACH (&kubelet->by_uid, it) {
		const struct pod *pod = it->value;

		if (pod == except || pod->object == NULL || pod->object_gone || pod->state.state == POD_NEW ||
		    pod->state.state == POD_OVER || pod->state.state == POD_GONE || pod->rejected != NULL ||
		    pod_is_over(pod_tree(pod))) /* also one that a kubelet before us ended, while we look after it */
			continue;
		sum += strcmp(resource, "pods") == 0 ? 1 : pod_request(json_get(pod_tree(pod), "spec"), resource);
	}
	return sum;
}

/* kubelet/sysctl: what is safe without asking. */
static const char *const safe_sysctls[] = {
	"kernel.shm_rmid_forced",
	"net.ipv4.ip_local_port_range",
	"net.ipv4.tcp_syncookies",
	"net.ipv4.ping_group_range",
	"net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.ip_local_reserved_ports",
	"net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl",
	"net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_rmem",
	"net.ipv4.tcp_wmem",
};

static bool sysctls_allowed(struct pod *pod)
{
	JSON_EACH (json_path(pod_tree(pod), "spec.securityContext.sysctls"), it) {
		struct str name = json_get_str(it.value, "name");
		AUTO_FREE char *dotted = xmemdup(name.ptr, name.len);
		bool safe = false;

		for (char *at = strchr(dotted, '/'); at != NULL; at = strchr(at, '/'))
			*at = '.';
		for (size_t i = 0; i < sizeof(safe_sysctls) / sizeof(safe_sysctls[0]); i++)
			safe = safe || strcmp(dotted, safe_sysctls[i]) == 0;
		if (safe)
			continue;
		pod->rejected = "SysctlForbidden";
		free(pod->rejected_message);
		pod->rejected_message = xasprintf("Pod was rejected: forbidden sysctl: \"%s\" not allowlisted", dotted);
		pod_event(pod, NULL, "Warning", "SysctlForbidden", "forbidden sysctl: \"%s\" not allowlisted", dotted);
		pod_poke(pod);
		return false;
	}
	return true;
}

bool pod_admit(struct pod *pod)
{
	struct kubelet *kubelet = pod->kubelet;
	const struct {
		const char *resource;
		int64_t has;
	} all[] = { { "pods", LIMIT_PODS_PER_NODE }, { "cpu", kubelet->post.cpu_milli }, { "memory", kubelet->post.memory } };

	if (pod->state.state != POD_NEW || pod->sandbox != NULL)
		return true;
	if (!sysctls_allowed(pod))
		return false;
	for (size_t i = 0; i < 3; i++) {
		int64_t wants = i == 0 ? 1 : pod_request(json_get(pod_tree(pod), "spec"), all[i].resource);
		int64_t taken = used(kubelet, pod, all[i].resource);

		if (wants == 0 || taken + wants <= all[i].has)
			continue;
		pod->rejected = i == 0 ? "OutOfpods" : i == 1 ? "OutOfcpu" : "OutOfmemory";
		free(pod->rejected_message);
		pod->rejected_message =
			xasprintf("Pod was rejected: Node didn't have enough resource: %s, requested: %lld, used: %lld, "
				  "capacity: %lld",
				  all[i].resource, (long long)wants, (long long)taken, (long long)all[i].has);
		pod_event(pod, NULL, "Warning", pod->rejected, "%s", pod->rejected_message + strlen("Pod was rejected: "));
		pod_poke(pod);
		return false;
	}
	return true;
}
