/* Capabilities: names, Kubernetes' add and drop, and what a process does to have exactly those. */
#include "runtime/caps.h"

#include <errno.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

/* By number; <linux/capability.h>. */
static const char *const names[] = {
	"CHOWN",
	"DAC_OVERRIDE",
	"DAC_READ_SEARCH",
	"FOWNER",
	"FSETID",
	"KILL",
	"SETGID",
	"SETUID",
	"SETPCAP",
	"LINUX_IMMUTABLE",
	"NET_BIND_SERVICE",
	"NET_BROADCAST",
	"NET_ADMIN",
	"NET_RAW",
	"IPC_LOCK",
	"IPC_OWNER",
	"SYS_MODULE",
	"SYS_RAWIO",
	"SYS_CHROOT",
	"SYS_PTRACE",
	"SYS_PACCT",
	"SYS_ADMIN",
	"SYS_BOOT",
	"SYS_NICE",
	"SYS_RESOURCE",
	"SYS_TIME",
	"SYS_TTY_CONFIG",
	"MKNOD",
	"LEASE",
	"AUDIT_WRITE",
	"AUDIT_CONTROL",
	"SETFCAP",
	"MAC_OVERRIDE",
	"MAC_ADMIN",
	"SYSLOG",
	"WAKE_ALARM",
	"BLOCK_SUSPEND",
	"AUDIT_READ",
	"PERFMON",
	"BPF",
	"CHECKPOINT_RESTORE",
};
#define N_CAPS ((int)(sizeof(names) / sizeof(names[0])))

uint64_t runtime_caps_all(void)
{
	int last = 0;

	while (last < 64 && prctl(PR_CAPBSET_READ, last, 0, 0, 0) >= 0)
		last++;
	return last >= 64 ? UINT64_MAX : (UINT64_C(1) << last) - 1;
}

int runtime_cap_parse(struct str name)
{
	if (name.len > 4 && strncasecmp(name.ptr, "CAP_", 4) == 0)
		name = str_skip(name, 4);
	for (int i = 0; i < N_CAPS; i++) {
		if (strlen(names[i]) == name.len && strncasecmp(names[i], name.ptr, name.len) == 0)
			return i;
	}
	return -1;
}

static struct error *set_of(const struct str *list, size_t n, bool *all, uint64_t *bits)
{
	*all = false;
	*bits = 0;
	for (size_t i = 0; i < n; i++) {
		int cap = runtime_cap_parse(list[i]);

		if (list[i].len == 3 && strncasecmp(list[i].ptr, "ALL", 3) == 0)
			*all = true;
		else if (cap >= 0)
			*bits |= UINT64_C(1) << cap;
		else
			return error_new(ERR_INVALID, "unknown capability \"CAP_%.*s\"", STR_ARG(list[i]));
	}
	return NULL;
}

struct error *runtime_caps_merge(const struct str *add, size_t n_add, const struct str *drop, size_t n_drop, uint64_t *caps)
{
	bool add_all, drop_all;
	uint64_t added, dropped;
	struct error *err = set_of(add, n_add, &add_all, &added);

	if (err == NULL)
		err = set_of(drop, n_drop, &drop_all, &dropped);
	if (err != NULL)
		return err;
	/* "ALL" first, then the single names, as container runtimes do it: add ALL drop X, drop ALL add X */
	*caps = add_all ? runtime_caps_all() : RUNTIME_CAPS_DEFAULT;
	if (drop_all)
		*caps = 0;
	*caps |= added;
	*caps &= ~dropped;
	*caps &= runtime_caps_all();
	return NULL;
}

/* --- in the child --- */

uint64_t caps_held(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (capget(&header, data) != 0)
		return 0;
	return (uint64_t)data[0].permitted | (uint64_t)data[1].permitted << 32;
}

struct error *caps_bound(uint64_t caps)
{
	for (int cap = 0; cap < 64; cap++) {
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) < 0)
			break;
		if (!(caps & (UINT64_C(1) << cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
			return error_errno(errno, "drop capability %d", cap);
	}
	return NULL;
}

static void words(uint64_t caps, struct __user_cap_data_struct data[2], int which)
{
	for (int i = 0; i < 2; i++) {
		uint32_t word = (uint32_t)(caps >> (32 * i));

		if (which == 0)
			data[i].effective = word;
		else if (which == 1)
			data[i].permitted = word;
		else
			data[i].inheritable = word;
	}
}

struct error *caps_apply(const struct caps_sets *sets)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	memset(data, 0, sizeof(data));
	words(sets->effective, data, 0);
	words(sets->permitted, data, 1);
	words(sets->inheritable, data, 2);
	if (capset(&header, data) != 0)
		return error_errno(errno, "set capabilities");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
		return error_errno(errno, "clear ambient capabilities");
	for (int cap = 0; cap < 64; cap++) {
		if ((sets->ambient & (UINT64_C(1) << cap)) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) != 0)
			return error_errno(errno, "raise ambient capability %d", cap);
	}
	return NULL;
}
