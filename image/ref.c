/* Image references; the grammar is distribution/reference's, its words too. */
#include <string.h>

#include "image/private.h"

#define NAME_MAX_LEN 255
#define TAG_MAX_LEN  128

static bool alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* alnum runs joined by '.', '_', '__' or any number of '-' */
static bool component_valid(struct str s)
{
	if (s.len == 0 || !alnum(s.ptr[0]) || !alnum(s.ptr[s.len - 1]))
		return false;
	for (size_t i = 1; i < s.len; i++) {
		char c = s.ptr[i], before = s.ptr[i - 1];

		if (alnum(c) || c == '-')
			continue;
		if (c == '.' && alnum(before))
			continue;
		if (c == '_' && (alnum(before) || (before == '_' && i >= 2 && alnum(s.ptr[i - 2]))))
			continue;
		return false;
	}
	/* a '-' run may not touch '.' or '_' */
	for (size_t i = 1; i < s.len; i++) {
		char a = s.ptr[i - 1], b = s.ptr[i];

		if ((a == '-' && (b == '.' || b == '_')) || (b == '-' && (a == '.' || a == '_')))
			return false;
	}
	return true;
}

static bool path_valid(struct str path)
{
	struct str part, rest = path;

	if (path.len == 0 || path.ptr[path.len - 1] == '/')
		return false;
	while (str_cut(&rest, '/', &part)) {
		if (!component_valid(part))
			return false;
	}
	return true;
}

static bool tag_valid(struct str tag)
{
	if (tag.len == 0 || tag.len > TAG_MAX_LEN || tag.ptr[0] == '.' || tag.ptr[0] == '-')
		return false;
	for (size_t i = 0; i < tag.len; i++) {
		char c = tag.ptr[i];

		if (!alnum(c) && !upper(c) && c != '_' && c != '.' && c != '-')
			return false;
	}
	return true;
}

static bool host_valid(struct str host)
{
	ptrdiff_t colon = str_rfind(host, ':');
	struct str name = host, port;

	if (host.len != 0 && host.ptr[0] == '[') { /* an IPv6 address */
		ptrdiff_t end = str_find(host, ']');

		return end > 1 && ((size_t)end + 1 == host.len || host.ptr[end + 1] == ':');
	}
	if (colon >= 0) {
		name = str_head(host, (size_t)colon);
		port = str_skip(host, (size_t)colon + 1);
		for (size_t i = 0; i < port.len; i++) {
			if (port.ptr[i] < '0' || port.ptr[i] > '9')
				return false;
		}
		if (port.len == 0)
			return false;
	}
	for (size_t i = 0; i < name.len; i++) {
		if (!alnum(name.ptr[i]) && !upper(name.ptr[i]) && name.ptr[i] != '.' && name.ptr[i] != '-')
			return false;
	}
	return name.len != 0 && name.ptr[0] != '.' && name.ptr[0] != '-';
}

static bool is_hex64(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f')))
			return false;
	}
	return s.len == 64;
}

struct error *image_ref_parse(struct arena *arena, struct str text, struct image_ref *out)
{
	struct str rest = text, first;
	ptrdiff_t at = str_find(text, '@'), colon, slash;

	memset(out, 0, sizeof(*out));
	if (text.len == 0)
		return error_new(ERR_INVALID, "couldn't parse image name \"\": invalid reference format");
	if (is_hex64(text))
		return error_new(ERR_INVALID,
				 "couldn't parse image name \"%.*s\": invalid repository name (%.*s), cannot specify 64-byte "
				 "hexadecimal strings",
				 STR_ARG(text), STR_ARG(text));
	if (at >= 0) {
		out->digest = str_skip(text, (size_t)at + 1);
		rest = str_head(text, (size_t)at);
	}
	slash = str_rfind(rest, '/');
	colon = str_rfind(rest, ':');
	if (colon > slash) {
		out->tag = str_skip(rest, (size_t)colon + 1);
		rest = str_head(rest, (size_t)colon);
		if (!tag_valid(out->tag))
			return error_new(ERR_INVALID, "couldn't parse image name \"%.*s\": invalid reference format",
					 STR_ARG(text));
	}
	/* the first part is a host when it looks like one */
	slash = str_find(rest, '/');
	first = slash >= 0 ? str_head(rest, (size_t)slash) : STR("");
	if (slash >= 0 && (str_find(first, '.') >= 0 || str_find(first, ':') >= 0 || str_is(first, "localhost"))) {
		out->host = first;
		out->path = str_skip(rest, (size_t)slash + 1);
	} else {
		out->host = STR("docker.io");
		out->path = rest;
	}
	if (str_is(out->host, "index.docker.io"))
		out->host = STR("docker.io");
	for (size_t i = 0; i < out->path.len; i++) {
		if (upper(out->path.ptr[i]))
			return error_new(
				ERR_INVALID,
				"couldn't parse image name \"%.*s\": invalid reference format: repository name (%.*s) must "
				"be lowercase",
				STR_ARG(text), STR_ARG(out->path));
	}
	if (!host_valid(out->host) || !path_valid(out->path) || (at >= 0 && !digest_valid(out->digest)) ||
	    out->host.len + 1 + out->path.len > NAME_MAX_LEN)
		return error_new(ERR_INVALID, "couldn't parse image name \"%.*s\": invalid reference format", STR_ARG(text));
	if (str_is(out->host, "docker.io") && str_find(out->path, '/') < 0)
		out->path = str_format(arena, "library/%.*s", STR_ARG(out->path));
	if (out->tag.len == 0 && out->digest.len == 0)
		out->tag = STR("latest");
	return NULL;
}

struct str image_ref_format(struct arena *arena, const struct image_ref *ref)
{
	return str_format(arena, "%.*s/%.*s%s%.*s%s%.*s", STR_ARG(ref->host), STR_ARG(ref->path), ref->tag.len != 0 ? ":" : "",
			  STR_ARG(ref->tag), ref->digest.len != 0 ? "@" : "", STR_ARG(ref->digest));
}

struct str image_ref_short(struct arena *arena, const struct image_ref *ref)
{
	struct image_ref copy = *ref;
	struct str text;

	if (str_is(copy.tag, "latest") && copy.digest.len == 0)
		copy.tag = STR("");
	text = image_ref_format(arena, &copy);
	if (str_has_prefix(text, STR("docker.io/library/")))
		return str_skip(text, strlen("docker.io/library/"));
	if (str_has_prefix(text, STR("docker.io/")))
		return str_skip(text, strlen("docker.io/"));
	return text;
}
