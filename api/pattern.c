/* Regular expressions as Go has them, by POSIX's library: as far as patterns of resources go. */
#include <regex.h>
#include <string.h>

#include "api/check.h"
#include "api/custom.h"
#include "base/limits.h"

/* Behind a backslash, as POSIX has it; inside brackets without the brackets. */
static void write_escape(struct buf *out, char c, bool inside)
{
	static const struct {
		char c;
		const char *inside;
	} classes[] = { { 'd', "0-9" }, { 'w', "0-9A-Za-z_" }, { 's', "\t\n\f\r " } };

	for (size_t i = 0; i < N_OF(classes); i++) {
		if (c == classes[i].c || c == classes[i].c - 32) {
			const char *open = inside ? "" : c == classes[i].c ? "[" : "[^";
			buf_printf(out, "%s%s%s", open, classes[i].inside, inside ? "" : "]");
			return;
		}
	}
	if (c == 't' || c == 'n' || c == 'r' || c == 'f')
		buf_putc(out, c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : '\f');
	else if (inside || c == '/' || c == '-')
		buf_putc(out, c);
	else if (c == 'z')
		buf_putc(out, '$');
	else if (c == 'A')
		buf_putc(out, '^');
	else
		buf_printf(out, "\\%c", c);
}

/* [...] from its bracket on; gives where it ends, or the length when it does not. A dash and a caret that were escaped stand last. */
static size_t write_set(struct buf *out, struct str text, size_t i)
{
	bool dash = false, caret = false, close = false;

	buf_putc(out, text.ptr[i++]);
	if (i < text.len && text.ptr[i] == '^')
		buf_putc(out, text.ptr[i++]);
	for (size_t first = i; i < text.len && (text.ptr[i] != ']' || i == first); i++) {
		char c = text.ptr[i];
		if (c != '\\' || i + 1 == text.len) {
			buf_putc(out, c);
			continue;
		}
		c = text.ptr[++i];
		dash = dash || c == '-';
		caret = caret || c == '^';
		if (c == ']' && !close) {
			close = true;
			continue;
		}
		if (c != '-' && c != '^' && c != ']')
			write_escape(out, c, true);
	}
	if (close) { /* it must stand first, which is behind the bracket and the caret */
		size_t open = out->len;
		while (out->ptr[--open] != '[')
			;
		open += out->ptr[open + 1] == '^' ? 2 : 1;
		buf_putc(out, 0);
		memmove(out->ptr + open + 1, out->ptr + open, out->len - 1 - open);
		out->ptr[open] = ']';
	}
	buf_add(out, caret ? STR("^") : STR(""));
	buf_add(out, dash ? STR("-") : STR(""));
	buf_putc(out, ']');
	return i;
}

/* How long an expression is with its repetitions written out, which is what the library does: nested ones multiply. */
struct size {
	uint64_t sums[64]; /* by depth of parentheses */
	size_t depth;
	uint64_t last; /* of what a repetition would repeat */
};

static bool size_repeat(struct size *s, struct str text, size_t *i)
{
	struct str inner = str_skip(text, *i + 1), low;
	ptrdiff_t end = str_find(inner, '}');
	uint64_t least = 0, most = 0;

	if (end < 0)
		return true; /* no repetition */
	inner = str_head(inner, (size_t)end);
	*i += (size_t)end + 1;
	if (!str_cut(&inner, ',', &low) || !str_to_u64(low, &least))
		return true;
	most = inner.len != 0 && str_to_u64(inner, &most) ? most : least;
	if (most > 1000)
		return false; /* as in Go */
	s->sums[s->depth] += s->last * most;
	s->last *= most;
	return true;
}

static bool is_small(struct str text)
{
	struct size s = { .last = 1 };

	for (size_t i = 0; i < text.len && s.sums[s.depth] <= LIMIT_PATTERN_SIZE; i++) {
		if (text.ptr[i] == '(') {
			if (++s.depth == 64)
				return false;
			s.sums[s.depth] = 0;
		} else if (text.ptr[i] == ')' && s.depth > 0) {
			s.last = s.sums[s.depth--];
			s.sums[s.depth] += s.last;
		} else if (text.ptr[i] == '{') {
			if (!size_repeat(&s, text, &i))
				return false;
		} else {
			if (text.ptr[i] == '[')
				while (i + 1 < text.len && text.ptr[i] != ']')
					i++;
			i += text.ptr[i] == '\\';
			s.last = 1;
			s.sums[s.depth]++;
		}
	}
	return s.sums[s.depth] <= LIMIT_PATTERN_SIZE;
}

/* Go's syntax in POSIX's, as far as patterns of resources go. */
static bool compile(struct str pattern, regex_t *out)
{
	AUTO_BUF struct buf posix = { 0 };
	int flags = REG_EXTENDED | REG_NOSUB;

	if (str_has_prefix(pattern, STR("(?i)"))) {
		flags |= REG_ICASE;
		pattern = str_skip(pattern, 4);
	}
	for (size_t i = 0; i < pattern.len; i++) {
		char c = pattern.ptr[i];
		struct str rest = str_skip(pattern, i);
		if (c == '\\' && i + 1 < pattern.len) {
			write_escape(&posix, pattern.ptr[++i], false);
		} else if (c == '[') {
			i = write_set(&posix, pattern, i);
			if (i >= pattern.len)
				return false;
		} else if (str_has_prefix(rest, STR("(?:"))) {
			buf_putc(&posix, '(');
			i += 2;
		} else if (c == '?' && i > 0 && strchr("*+?}", pattern.ptr[i - 1]) != NULL) {
			continue; /* how much it takes makes no difference to whether it matches */
		} else {
			buf_putc(&posix, c);
		}
	}
	return is_small(buf_str(&posix)) && regcomp(out, buf_cstr(&posix), flags) == 0;
}

bool api_pattern_valid(struct str pattern)
{
	regex_t regex;

	if (!compile(pattern, &regex))
		return false;
	regfree(&regex);
	return true;
}

/* What is no pattern was refused when the schema came. */
bool api_pattern_matches(struct arena *arena, struct str pattern, struct str text)
{
	regex_t regex;
	bool matches;

	if (!compile(pattern, &regex))
		return true;
	matches = regexec(&regex, str_cstr(arena, text), 0, NULL, 0) == 0;
	regfree(&regex);
	return matches;
}
