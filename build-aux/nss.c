/*
 * What glibc answers with shared objects (NSS, dlopen), answered without, so that a static program links without a
 * warning and never loads foreign code. Linked into every static program as an object: in an archive it would come
 * after glibc's own definitions.
 *
 * Names are resolved with c-ares, never through these; getaddrinfo() here knows numeric addresses only.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wredundant-decls"

void *__wrap_dlopen(const char *file, int mode)
{
	(void)file;
	(void)mode;
	return NULL;
}

void *dlsym(void *restrict handle, const char *restrict name)
{
	(void)handle;
	(void)name;
	return NULL;
}

int dlclose(void *handle)
{
	(void)handle;
	return 0;
}

char *dlerror(void)
{
	static char text[] = "this program is static";

	return text;
}

int dladdr(const void *addr, Dl_info *info)
{
	(void)addr;
	memset(info, 0, sizeof(*info));
	return 0;
}

static int numeric(const char *node, const char *service, struct sockaddr_storage *out, socklen_t *len)
{
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)out;
	char *end = NULL;
	unsigned long port = service != NULL ? strtoul(service, &end, 10) : 0;

	if (port > 65535 || (end != NULL && *end != '\0'))
		return EAI_SERVICE;
	memset(out, 0, sizeof(*out));
	if (node == NULL || inet_pton(AF_INET, node, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		*len = sizeof(*in);
		return 0;
	}
	if (inet_pton(AF_INET6, node, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		*len = sizeof(*in6);
		return 0;
	}
	return EAI_NONAME;
}

int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
		struct addrinfo **restrict res)
{
	struct sockaddr_storage addr;
	socklen_t len = 0;
	int rc = numeric(node, service, &addr, &len);
	struct addrinfo *info;

	if (rc != 0)
		return rc;
	info = calloc(1, sizeof(*info) + sizeof(addr));
	if (info == NULL)
		return EAI_MEMORY;
	info->ai_family = addr.ss_family;
	info->ai_socktype = hints != NULL ? hints->ai_socktype : SOCK_STREAM;
	info->ai_protocol = hints != NULL ? hints->ai_protocol : 0;
	info->ai_addrlen = len;
	info->ai_addr = (struct sockaddr *)(void *)(info + 1);
	memcpy(info->ai_addr, &addr, len);
	*res = info;
	return 0;
}

void freeaddrinfo(struct addrinfo *info)
{
	free(info);
}

const char *gai_strerror(int code)
{
	return code == EAI_NONAME ? "not a numeric address" : "address lookup failed";
}

int getnameinfo(const struct sockaddr *restrict addr, socklen_t len, char *restrict host, socklen_t host_len,
		char *restrict service, socklen_t service_len, int flags)
{
	const void *ip = addr->sa_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr
						     : (const void *)&((const struct sockaddr_in *)(const void *)addr)->sin_addr;
	(void)len;
	(void)flags;
	if (host != NULL && host_len != 0 && inet_ntop(addr->sa_family, ip, host, host_len) == NULL)
		return EAI_OVERFLOW;
	if (service != NULL && service_len != 0)
		snprintf(service, service_len, "%u", ntohs(((const struct sockaddr_in *)(const void *)addr)->sin_port));
	return 0;
}

struct hostent *gethostbyname(const char *name)
{
	(void)name;
	return NULL;
}

struct servent *getservbyname(const char *name, const char *proto)
{
	(void)name;
	(void)proto;
	return NULL;
}

int getservbyname_r(const char *restrict name, const char *restrict proto, struct servent *restrict entry, char *restrict buf,
		    size_t len, struct servent **restrict res)
{
	(void)name;
	(void)proto;
	(void)entry;
	(void)buf;
	(void)len;
	*res = NULL;
	return 0;
}

int getservbyport_r(int port, const char *restrict proto, struct servent *restrict entry, char *restrict buf, size_t len,
		    struct servent **restrict res)
{
	(void)port;
	(void)proto;
	(void)entry;
	(void)buf;
	(void)len;
	*res = NULL;
	return 0;
}

struct protoent *getprotobyname(const char *name)
{
	(void)name;
	return NULL;
}

struct protoent *getprotobynumber(int number)
{
	(void)number;
	return NULL;
}

void endservent(void)
{
}

void endprotoent(void)
{
}

void endpwent(void)
{
}

void endgrent(void)
{
}

int getpwuid_r(uid_t uid, struct passwd *restrict entry, char *restrict buf, size_t len, struct passwd **restrict res)
{
	(void)uid;
	(void)entry;
	(void)buf;
	(void)len;
	*res = NULL;
	return 0;
}
