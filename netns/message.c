#include "netns/message.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MS     2000 /* rtnetlink answers at once; this bounds a lost one */
#define MESSAGE_BYTES 4096

static _Atomic uint32_t next_sequence = 1; /* jobs ask, too */

struct nl_msg *message_new(int type, int flags, size_t header, void **out_header)
{
	struct nl_msg *msg = nlmsg_alloc_size(MESSAGE_BYTES);

	ASSERT(msg != NULL);
	ASSERT(nlmsg_put(msg, 0, next_sequence++, type, 0, NLM_F_REQUEST | flags) != NULL);
	*out_header = nlmsg_reserve(msg, header, NLMSG_ALIGNTO);
	ASSERT(*out_header != NULL);
	memset(*out_header, 0, header);
	return msg;
}

static struct error *send_message(int fd, const struct nlmsghdr *header)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	if (sendto(fd, header, header->nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return error_errno(errno, "send netlink request");
	return NULL;
}

static struct error *receive(int fd, char *buffer, size_t size, size_t *len)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	ssize_t n;

	do {
		n = poll(&wait, 1, ANSWER_MS);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return error_new(ERR_TIMEOUT, "the kernel does not answer on netlink");
	do {
		n = recv(fd, buffer, size, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_errno(errno, "read netlink answer");
	*len = (size_t)n;
	return NULL;
}

/* Reads until the answer to this sequence is complete. Notifications and late answers are passed over. */
static struct error *read_answers(int fd, uint32_t sequence, int *code, void (*fn)(void *arg, const struct nlmsghdr *answer),
				  void *arg)
{
	AUTO_FREE char *buffer = xmalloc(32 * 1024);

	for (;;) {
		size_t len = 0;
		struct error *err = receive(fd, buffer, 32 * 1024, &len);
		int left = (int)len;

		if (err != NULL)
			return err;
		for (struct nlmsghdr *answer = (struct nlmsghdr *)(void *)buffer; nlmsg_ok(answer, left);
		     answer = nlmsg_next(answer, &left)) {
			if (answer->nlmsg_seq != sequence)
				continue;
			if (answer->nlmsg_type == NLMSG_ERROR) {
				*code = -((const struct nlmsgerr *)nlmsg_data(answer))->error;
				return NULL;
			}
			if (answer->nlmsg_type == NLMSG_DONE)
				return NULL;
			if (fn != NULL)
				fn(arg, answer);
		}
	}
}

static struct error *exchange(int fd, struct nl_msg *msg, int *code, void (*fn)(void *arg, const struct nlmsghdr *answer),
			      void *arg)
{
	struct nlmsghdr *header = nlmsg_hdr(msg);
	struct error *err = send_message(fd, header);

	*code = 0;
	if (err == NULL)
		err = read_answers(fd, header->nlmsg_seq, code, fn, arg);
	nlmsg_free(msg);
	return err;
}

struct error *message_request(int fd, struct nl_msg *msg, int *code)
{
	nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_ACK;
	return exchange(fd, msg, code, NULL, NULL);
}

struct error *message_ask(int fd, struct nl_msg *msg, int *code, void (*fn)(void *arg, const struct nlmsghdr *answer), void *arg)
{
	nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_ACK;
	return exchange(fd, msg, code, fn, arg);
}

struct error *message_dump(int fd, struct nl_msg *msg, void (*fn)(void *arg, const struct nlmsghdr *answer), void *arg)
{
	int code;
	struct error *err;

	nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_DUMP;
	err = exchange(fd, msg, &code, fn, arg);
	if (err == NULL && code != 0)
		err = error_errno(code, "list from the kernel");
	return err;
}
