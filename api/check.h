/* Checks that the validators of several kinds share. Private to api. Pure. */
#ifndef API_CHECK_H
#define API_CHECK_H

#include "api/api.h"
#include "api/names.h"
#include "base/places.h"

/* A path on the findings' arena: AT(f, "%s.ports[%zu]", path, i). */
#define AT(f, ...) arena_printf((f)->arena, __VA_ARGS__)
#define N_OF(list) (sizeof(list) / sizeof((list)[0]))

void check_complaints(struct api_findings *f, const char *path, struct str value, struct complaints c);
void check_number(struct api_findings *f, const char *path, const struct json *value, struct complaints c);
/* "must be greater than or equal to 0"; absent is fine. */
void check_not_negative(struct api_findings *f, const char *path, const struct json *value);
/* Text of a list, in its order. When absent: Required if required, else fine. */
void check_one_of(struct api_findings *f, const char *path, struct str value, bool required, const char *const *list, size_t n);
/* A text that is there, empty or not, is one of them. */
void check_if_one_of(struct api_findings *f, const char *path, const struct json *value, const char *const *list, size_t n);
void check_labels(struct api_findings *f, const char *path, const struct json *labels);
void check_annotations(struct api_findings *f, const char *path, const struct json *annotations);
void check_label_selector(struct api_findings *f, const char *path, const struct json *selector);
void check_ip(struct api_findings *f, const char *path, struct str ip);
/* The same, and written the one right way. */
void check_canonical_cidr(struct api_findings *f, const char *path, struct str cidr);
void check_cidr(struct api_findings *f, const char *path, struct str cidr);
/* An address that traffic may go to: not loopback, link-local, unspecified. Says nothing of what is no address. */
void check_reachable_ip(struct api_findings *f, const char *path, struct str ip);
void check_port_number_or_name(struct api_findings *f, const char *path, const struct json *port);
void check_int_or_percent(struct api_findings *f, const char *path, const struct json *value);
/* new and old must be equal: "field is immutable". Values as they are shown. */
void check_immutable(struct api_findings *f, const char *path, const struct json *new, const struct json *old);
/* Metadata of a top-level object. */
/* Its labels, annotations and owners only. */
void check_metadata_maps(struct api_findings *f, const struct json *metadata);
void check_metadata(struct api_findings *f, const struct kind *kind, const struct json *metadata);
void check_metadata_update(struct api_findings *f, const struct json *new, const struct json *old);

/* Structs of upstream's internal types as they are shown in messages: every field, by its Go name. */
struct shown_field {
	const char *go;
	const char *json;
	const char *absent; /* what stands there when it is absent: "null", "0", "\"\"" */
};
/* The same of any type of the catalogue, by its tables: a value of k8s.io/kubernetes' own types, which have no other names. */
const struct json *shown_go(struct arena *arena, const struct type *type, const struct json *value);
const struct json *shown_struct(struct arena *arena, const struct json *tree, const struct shown_field *fields, size_t n);

void finding_duplicate_of(struct api_findings *f, const char *field, const struct json *value, const char *detail);
void finding_type_invalid(struct api_findings *f, const char *field, const struct json *value, const char *detail);
void finding_copy(struct api_findings *f, const struct api_finding *from);
void finding_not_found_among(struct api_findings *f, const char *field, const struct json *value, const char *detail);

/* Pods (api/validate_pod.c): the spec of a pod, or of a template. */
struct pod_rules {
	bool template;           /* not a pod itself */
	const struct json *meta; /* of a pod, else NULL */
};
void check_pod_spec(struct api_findings *f, const char *path, const struct json *spec, const struct pod_rules *rules);
/* "example.com/path" */
void check_domain_path(struct api_findings *f, const char *path, struct str value);
void check_csi_driver_name(struct api_findings *f, const char *path, struct str name);
void check_pod_template(struct api_findings *f, const char *path, const struct json *template);

/* What an update may change, per kind; run before the object is looked at by itself. */
void update_pod(struct api_findings *f, const struct json *tree, const struct json *old);
void update_ephemeral(struct api_findings *f, const struct json *tree, const struct json *old);
void update_resources(struct api_findings *f, const struct json *tree, const struct json *old);
void check_cluster_ips(struct api_findings *f, const struct json *spec);
void update_service(struct api_findings *f, const struct json *tree, const struct json *old);
void update_config_map(struct api_findings *f, const struct json *tree, const struct json *old);
void update_secret(struct api_findings *f, const struct json *tree, const struct json *old);
void check_node_update(struct api_findings *f, const struct json *tree);
void check_spec_finalizers(struct api_findings *f, const struct json *tree, bool each);
void update_node(struct api_findings *f, const struct json *tree, const struct json *old);
void update_ip_address(struct api_findings *f, const struct json *tree, const struct json *old);
void update_service_cidr(struct api_findings *f, const struct json *tree, const struct json *old);
void update_event(struct api_findings *f, const struct json *tree, const struct json *old);
void create_event(struct api_findings *f, const struct json *tree);
/* What may not change, by a table. */
void check_fixed(struct api_findings *f, const struct kind *kind, const struct json *tree, const struct json *old);
/* What may be said through /status. */
/* One of meta's conditions; and the status of a claim of devices. */
void check_condition(struct api_findings *f, const char *path, const struct json *condition);
void check_claim_status(struct api_findings *f, const struct json *tree, const struct json *old);
/* What differs, as a unified diff of the indented values; empty when they are too long. On the findings' arena. */
const char *check_diff(struct api_findings *f, const struct json *old, const struct json *new);
/* Of kinds that are not the path's: api/rules_status.c. */
void check_other_status(struct api_findings *f, const struct kind *kind, const struct json *tree, const struct json *old);
void check_status(struct api_findings *f, const struct kind *kind, const struct json *tree, const struct json *old);
void update_selector(struct api_findings *f, const struct json *tree, const struct json *old);
void update_endpoint_slice(struct api_findings *f, const struct json *tree, const struct json *old);
void update_storage_class(struct api_findings *f, const struct json *tree, const struct json *old);
void update_definition(struct api_findings *f, const struct json *tree, const struct json *old);
void update_priority_class(struct api_findings *f, const struct json *tree, const struct json *old);
void update_claimed(struct api_findings *f, const struct json *tree, const struct json *old);
void update_stateful_set(struct api_findings *f, const struct json *tree, const struct json *old);
void update_csi_node(struct api_findings *f, const struct json *tree, const struct json *old);
void update_revision(struct api_findings *f, const struct json *tree, const struct json *old);
void update_quota(struct api_findings *f, const struct json *tree, const struct json *old);

#endif
