/* What the files that judge pods share: spec, containers, volumes. Private to api. */
#ifndef API_CHECK_POD_H
#define API_CHECK_POD_H

#include "api/check.h"

/* The volumes without a fault, by name: what mounts may refer to. */
const struct json *check_volumes(struct api_findings *f, const char *path, const struct json *volumes);
void check_mounts(struct api_findings *f, const char *path, const struct json *container, const struct json *volumes);
void check_devices(struct api_findings *f, const char *path, const struct json *container, const struct json *volumes);
void check_no_backsteps(struct api_findings *f, const char *path, struct str value);
void check_descending_path(struct api_findings *f, const char *path, struct str value);
void check_field_ref(struct api_findings *f, const char *path, const struct json *ref, bool volume);
void check_seccomp(struct api_findings *f, const char *path, const struct json *profile);
/* Of a pod (container false) or a container. Private fields are judged elsewhere. */
void check_security_rules(struct api_findings *f, const char *path, const struct json *context, bool container);
/* An item of imagePullSecrets or the like needs no name; a claim's spec is a template's too. */
void check_claim_spec(struct api_findings *f, const char *path, const struct json *spec);
void check_id(struct api_findings *f, const char *path, const struct json *id);

/* All of the spec's containers, of the three lists. */
void check_containers(struct api_findings *f, const char *path, const struct json *spec, const struct json *volumes, bool template);

/* The name of a resource: of any, or of one that containers ask for. */
void check_resource_name(struct api_findings *f, const char *path, struct str name, bool of_container);
/* Of another domain than ours, and fit to be asked for. */
bool is_extended_resource(struct str name);
/* What a pod costs beside its containers, judged as their limits are. */
void check_overhead(struct api_findings *f, const char *path, const struct json *overhead);
/* Which nodes: terms, of which one has to fit. NULL is fine. */
void check_node_selector(struct api_findings *f, const char *path, const struct json *selector);
void check_toleration(struct api_findings *f, const char *path, const struct json *t);
/* Sources that pods and volumes have in the same form. */
void check_nfs(struct api_findings *f, const char *path, const struct json *source);
void check_iscsi(struct api_findings *f, const char *path, const struct json *source);
void check_flocker(struct api_findings *f, const char *path, const struct json *source);
void check_fc(struct api_findings *f, const char *path, const struct json *source);
void check_azure_disk(struct api_findings *f, const char *path, const struct json *source);
/* How much there may be of a resource. */
void check_quantity(struct api_findings *f, const char *path, struct str name, const struct json *value);
/* A list of what a quota counts. */
void check_quota_list(struct api_findings *f, const char *path, const struct json *list);

#endif
