/*
 * A unified diff of two values, as upstream's messages have it behind what may not be changed: of their indented JSON, three
 * lines around each change. Which lines are taken for the same is Ratcliff and Obershelp's, as in Python's difflib and its
 * descendants: the longest run that both have, then the same on both sides of it.
 */
#include <stdlib.h>
#include <string.h>

#include "api/check.h"
#include "base/auto.h"
#include "base/buf.h"

#define LIMIT_LINES 2048 /* of either; longer ones are not compared */
#define AROUND      3

struct lines {
	struct str text[LIMIT_LINES];
	size_t id[LIMIT_LINES]; /* the same for the same text */
	size_t n;
};

struct run {
	size_t a, b, n; /* so many lines from there on are the same */
};

struct differ {
	struct lines a, b;
	size_t first[2 * LIMIT_LINES]; /* of an id: 1 + its last line of b, … */
	size_t next[LIMIT_LINES];      /* … and of a line 1 + the one before it with the same id */
	size_t length[LIMIT_LINES], row[LIMIT_LINES];
	struct run runs[LIMIT_LINES + 1];
	size_t n_runs;
};

static bool read_lines(struct arena *arena, struct lines *lines, struct places *ids, const struct json *value)
{
	AUTO_BUF struct buf text = { 0 };
	struct str rest, line;

	json_write_indented(&text, value, 1);
	rest = str_dup(arena, buf_str(&text));
	while (str_cut(&rest, '\n', &line)) {
		if (lines->n == LIMIT_LINES)
			return false;
		lines->id[lines->n] = places_add(ids, line, ids->len);
		lines->text[lines->n++] = line;
	}
	return true;
}

/* Where b has which line. What a long text is full of says nothing of where one is. */
static void index_lines(struct differ *d)
{
	size_t most = d->b.n / 100 + 1, *count = xcalloc(2 * LIMIT_LINES, sizeof(*count));

	for (size_t j = 0; j < d->b.n; j++) {
		d->next[j] = d->first[d->b.id[j]];
		d->first[d->b.id[j]] = j + 1;
		count[d->b.id[j]]++;
	}
	for (size_t j = 0; j < d->b.n && d->b.n >= 200; j++)
		if (count[d->b.id[j]] > most)
			d->first[d->b.id[j]] = 0;
	free(count);
}

struct part {
	size_t a, a_end, b, b_end;
};

/* The longest run in a part, of several the one that begins first in a, then in b. */
static struct run longest(struct differ *d, struct part p)
{
	struct run best = { p.a, p.b, 0 };

	memset(d->row, 0, sizeof(d->row));
	for (size_t i = p.a; i < p.a_end; i++)
		for (size_t at = d->first[d->a.id[i]]; at != 0; at = d->next[at - 1]) { /* from the last on */
			size_t j = at - 1, n;

			if (j >= p.b_end || j < p.b)
				continue;
			n = 1 + (j > p.b && d->row[j - 1] == i ? d->length[j - 1] : 0);
			d->row[j] = i + 1;
			d->length[j] = n;
			if (n > best.n || (n == best.n && best.n != 0 && best.a + best.n == i + 1))
				best = (struct run){ i + 1 - n, j + 1 - n, n };
		}
	for (; best.a > p.a && best.b > p.b && d->a.id[best.a - 1] == d->b.id[best.b - 1]; best.n++) {
		best.a--;
		best.b--;
	}
	while (best.a + best.n < p.a_end && best.b + best.n < p.b_end && d->a.id[best.a + best.n] == d->b.id[best.b + best.n])
		best.n++;
	return best;
}

static int by_place(const void *x, const void *y)
{
	const struct run *a = x, *b = y;

	return a->a != b->a ? (a->a < b->a ? -1 : 1) : a->b < b->b ? -1 : a->b > b->b;
}

static void find_runs(struct arena *arena, struct differ *d)
{
	struct part *parts = ARENA_ARRAY(arena, struct part, LIMIT_LINES + 1);
	size_t n = 0, kept = 0;

	parts[n++] = (struct part){ 0, d->a.n, 0, d->b.n };
	while (n != 0) {
		struct part p = parts[--n];
		struct run run = longest(d, p);

		if (run.n == 0)
			continue;
		d->runs[d->n_runs++] = run;
		if (p.a < run.a && p.b < run.b)
			parts[n++] = (struct part){ p.a, run.a, p.b, run.b };
		if (run.a + run.n < p.a_end && run.b + run.n < p.b_end)
			parts[n++] = (struct part){ run.a + run.n, p.a_end, run.b + run.n, p.b_end };
	}
	qsort(d->runs, d->n_runs, sizeof(d->runs[0]), by_place);
	for (size_t i = 0; i < d->n_runs; i++) {
		struct run *last = kept == 0 ? NULL : &d->runs[kept - 1];

		if (last != NULL && last->a + last->n == d->runs[i].a && last->b + last->n == d->runs[i].b)
			last->n += d->runs[i].n;
		else
			d->runs[kept++] = d->runs[i];
	}
	d->n_runs = kept;
	d->runs[d->n_runs++] = (struct run){ d->a.n, d->b.n, 0 };
}

/* --- writing --- */

struct hunk {
	struct differ *d;
	struct buf *out, body;
	size_t a, b, a_end, b_end; /* what it has so far */
};

static void put(struct hunk *h, char sign, const struct lines *lines, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		buf_printf(&h->body, "%c%.*s\n", sign, STR_ARG(lines->text[i]));
}

static void put_range(struct buf *out, size_t from, size_t to)
{
	if (to - from == 1)
		buf_printf(out, "%zu", from + 1);
	else
		buf_printf(out, "%zu,%zu", to == from ? from : from + 1, to - from);
}

static void end_hunk(struct hunk *h, size_t a_end, size_t b_end)
{
	buf_add(h->out, STR("@@ -"));
	put_range(h->out, h->a, a_end);
	buf_add(h->out, STR(" +"));
	put_range(h->out, h->b, b_end);
	buf_add(h->out, STR(" @@\n"));
	buf_add(h->out, buf_str(&h->body));
	buf_clear(&h->body);
}

/* Lines that are the same, of which only those beside a change are told. */
static void put_run(struct hunk *h, struct run run, bool first, bool last)
{
	size_t head = first ? 0 : run.n < AROUND ? run.n : AROUND, tail = last ? 0 : run.n < AROUND ? run.n : AROUND;

	if (!first && !last && run.n <= 2 * AROUND) {
		put(h, ' ', &h->d->a, run.a, run.a + run.n);
		return;
	}
	put(h, ' ', &h->d->a, run.a, run.a + head);
	if (!first)
		end_hunk(h, run.a + head, run.b + head);
	h->a = run.a + run.n - tail;
	h->b = run.b + run.n - tail;
	put(h, ' ', &h->d->a, h->a, run.a + run.n);
}

static void write_diff(struct buf *out, struct differ *d)
{
	struct hunk h = { .d = d, .out = out };
	size_t a = 0, b = 0;

	for (size_t i = 0; i < d->n_runs; i++) {
		struct run run = d->runs[i];
		bool end = i + 1 == d->n_runs || (i + 2 == d->n_runs && run.a + run.n == d->a.n && run.b + run.n == d->b.n);

		put(&h, '-', &d->a, a, run.a);
		put(&h, '+', &d->b, b, run.b);
		put_run(&h, run, run.a == 0 && run.b == 0, end);
		a = run.a + run.n;
		b = run.b + run.n;
		if (end)
			break;
	}
	buf_fini(&h.body);
}

const char *check_diff(struct api_findings *f, const struct json *old, const struct json *new)
{
	struct differ *d = xcalloc(1, sizeof(*d));
	struct places ids = { .arena = f->arena };
	AUTO_BUF struct buf out = { 0 };

	if (read_lines(f->arena, &d->a, &ids, old) && read_lines(f->arena, &d->b, &ids, new)) {
		index_lines(d);
		find_runs(f->arena, d);
		write_diff(&out, d);
	}
	free(d);
	return str_cstr(f->arena, buf_str(&out));
}
