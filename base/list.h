/*
 * Intrusive doubly linked list. The head is a struct list too; an item can be in as many lists as it has members.
 *
 *	struct list waiting;            list_init(&waiting);
 *	list_push(&waiting, &job->link);
 *	LIST_EACH (&waiting, struct job, link, job) …       // the current item may be removed
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next;
	struct list *prev;
};

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
	list->next = list->prev = list;
}

static inline bool list_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_push(struct list *head, struct list *item)
{
	item->prev = head->prev;
	item->next = head;
	head->prev->next = item;
	head->prev = item;
}

/* Afterwards item is a list of its own, so removing twice is harmless. */
static inline void list_remove(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

/* All of `from`, before what is in the list already; `from` is no list afterwards. */
static inline void list_splice(struct list *head, struct list *from)
{
	if (list_empty(from))
		return;
	from->prev->next = head->next;
	head->next->prev = from->prev;
	head->next = from->next;
	from->next->prev = head;
}

#define LIST_FIRST(head, type, member) (list_empty(head) ? NULL : CONTAINER_OF((head)->next, type, member))
#define LIST_EACH(head, type, member, it)                                                                                          \
	for (type *it = CONTAINER_OF((head)->next, type, member), *it##_next = CONTAINER_OF(it->member.next, type, member);        \
	     &it->member != (head); it = it##_next, it##_next = CONTAINER_OF(it->member.next, type, member))

#endif
