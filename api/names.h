/*
 * Which texts may be names, labels, keys, …: upstream's rules and its words for what is wrong. Pure.
 *
 *	struct complaints c = name_dns_subdomain(name);
 *	for (int i = 0; i < c.n; i++)
 *		finding_invalid_text(f, "metadata.name", name, c.text[i]);
 */
#ifndef API_NAMES_H
#define API_NAMES_H

#include "base/str.h"
#include "json/json.h"

struct complaints {
	const char *text[6]; /* literals */
	int n;
};

struct complaints name_dns_label(struct str s);     /* RFC 1123: "my-name" */
struct complaints name_dns_subdomain(struct str s); /* RFC 1123: "my.name" */
struct complaints name_search_domain(struct str s); /* a subdomain with underscores */
struct complaints name_dns1035_label(struct str s);
struct complaints name_wildcard_subdomain(struct str s); /* "*.example.com" */
struct complaints name_label_key(struct str s);          /* a qualified name: "example.com/My_Name" */
struct complaints name_annotation_key(struct str s);     /* the same, its domain in any case */
struct complaints name_label_value(struct str s);
struct complaints name_path_segment(struct str s);
struct complaints name_ip(struct str s);   /* an address in its canonical form */
struct complaints name_port(struct str s); /* IANA service name: "http" */
struct complaints name_port_number(int64_t n);
struct complaints name_config_key(struct str s);
struct complaints name_env_var(struct str s); /* what is allowed today */
struct complaints name_c_identifier(struct str s);
struct complaints name_http_header(struct str s);
struct complaints name_percent(struct str s);
/* A name that a generateName could end up as; the suffix is thought away. */
struct complaints name_prefix(struct complaints (*rule)(struct str), struct str s);

/* IntOrString: a number, or a share of total when it is "25%"; rounded up or down. False for anything else. */
bool intstr_scaled(const struct json *value, int64_t total, bool round_up, int64_t *out);

#endif
