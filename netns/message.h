/*
 * Netlink messages, built into a buffer with libnl's attribute writer and exchanged over a given socket.
 * Private to netns.
 */
#ifndef NETNS_MESSAGE_H
#define NETNS_MESSAGE_H

#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "base/base.h"

/* Starts a message with a zeroed family header of that size; the caller fills the header. */
struct nl_msg *message_new(int type, int flags, size_t header, void **out_header);

/* Sends one request and waits for the kernel's answer; frees the message. *code gets errno, 0 for success. */
struct error *message_request(int fd, struct nl_msg *msg, int *code) MUST_CHECK;

/* Sends one request that is answered by a message and an acknowledgement; frees the message. */
struct error *message_ask(int fd, struct nl_msg *msg, int *code, void (*fn)(void *arg, const struct nlmsghdr *answer),
			  void *arg) MUST_CHECK;

/* Sends a dump request and calls fn with each answer; frees the message. */
struct error *message_dump(int fd, struct nl_msg *msg, void (*fn)(void *arg, const struct nlmsghdr *answer), void *arg) MUST_CHECK;

#endif
