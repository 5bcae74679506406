/* Values as upstream's own types show them, by Go's names and with everything there. Source: k8s.io/kubernetes/pkg/apis. */
#include "api/check.h"

static struct str go_name(struct arena *arena, struct str name)
{
	static const char *const names[][2] = { { "cel", "CEL" },
						{ "uid", "UID" },
						{ "nfs", "NFS" },
						{ "iscsi", "ISCSI" },
						{ "rbd", "RBD" },
						{ "fc", "FC" },
						{ "csi", "CSI" },
						{ "cephfs", "CephFS" },
						{ "storageos", "StorageOS" },
						{ "gcePersistentDisk", "GCEPersistentDisk" },
						{ "awsElasticBlockStore", "AWSElasticBlockStore" },
						{ "pdName", "PDName" },
						{ "fsType", "FSType" },
						{ "iqn", "IQN" },
						{ "iscsiInterface", "ISCSIInterface" },
						{ "wwids", "WWIDs" },
						{ "dnsPolicy", "DNSPolicy" },
						{ "dnsConfig", "DNSConfig" },
						{ "os", "OS" },
						{ "ip", "IP" },
						{ "tty", "TTY" },
						{ "apiVersion", "APIVersion" },
						{ "apiGroup", "APIGroup" },
						{ "httpGet", "HTTPGet" },
						{ "httpHeaders", "HTTPHeaders" },
						{ "tcpSocket", "TCPSocket" },
						{ "grpc", "GRPC" },
						{ "seLinuxOptions", "SELinuxOptions" },
						{ "seLinuxChangePolicy", "SELinuxChangePolicy" },
						{ "fsGroup", "FSGroup" },
						{ "fsGroupChangePolicy", "FSGroupChangePolicy" },
						{ "gmsaCredentialSpecName", "GMSACredentialSpecName" },
						{ "gmsaCredentialSpec", "GMSACredentialSpec" } };

	for (size_t i = 0; i < N_OF(names); i++)
		if (str_is(name, names[i][0]))
			return str_from(names[i][1]);
	name = str_dup(arena, name);
	if (name.len != 0 && name.ptr[0] >= 'a' && name.ptr[0] <= 'z')
		return str_format(arena, "%c%.*s", name.ptr[0] - 'a' + 'A', (int)name.len - 1, name.ptr + 1);
	return name;
}

static const struct json *go_zero(struct arena *arena, const struct field *field)
{
	const struct type *type = field_type(field);

	if (field->shape != SHAPE_ONE || (field->flags & FIELD_POINTER) != 0)
		return &json_null;
	switch ((enum type_form)type->form) {
	case FORM_STRUCT:
		return shown_go(arena, type, NULL);
	case FORM_STRING:
		return &json_empty_string;
	case FORM_BOOL:
		return &json_false;
	case FORM_INT32:
	case FORM_INT64:
	case FORM_DOUBLE:
	case FORM_INT_OR_STRING:
		return json_number(arena, 0);
	case FORM_QUANTITY:
		return json_text(arena, "0");
	case FORM_BYTES:
	case FORM_TIME:
	case FORM_MICRO_TIME:
	case FORM_RAW:
	case FORM_FIELDS:
	case FORM_JSON:
	case FORM_SCHEMA_OR_BOOL:
	case FORM_SCHEMA_OR_ARRAY:
	case FORM_SCHEMA_OR_STRINGS:
	case FORM_NESTED:
	case FORM_COUNT:
		break;
	}
	return &json_null;
}

static const struct json *go_value(struct arena *arena, const struct field *field, const struct json *value)
{
	struct json_builder b = { .arena = arena };

	if (json_absent(value))
		return go_zero(arena, field);
	if (field->shape == SHAPE_ONE)
		return shown_go(arena, field_type(field), value);
	JSON_EACH (value, it)
		json_builder_put(&b, &it, shown_go(arena, field_type(field), it.value));
	return json_builder_like(&b, value);
}

/* Of a pod, what the host shares is part of its security context; an old name of the account is none. */
static const char *const shared[] = { "hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers", "serviceAccount" };

static bool is_shared(struct str name)
{
	for (size_t i = 0; i < N_OF(shared); i++)
		if (str_is(name, shared[i]))
			return true;
	return false;
}

static const struct json *with_shared(struct arena *arena, const struct json *spec, const struct json *context)
{
	struct json_builder b = { .arena = arena };

	for (size_t i = 0; i < 5; i++) {
		const struct json *value = json_get(spec, shared[i]);

		json_builder_member(&b, go_name(arena, str_from(shared[i])),
				    value != NULL ? value
				    : i < 3       ? &json_false
						  : &json_null);
	}
	JSON_EACH (context, it)
		json_builder_member(&b, it.key, it.value);
	return json_builder_object(&b);
}

/* Fields that stand elsewhere than in the published types: behind which. */
static const struct {
	const char *field, *behind, *of; /* nothing: of whatever type has both */
} moved[] = { { "quobyte", "rbd", NULL },
	      { "flexVolume", "iscsi", "PersistentVolumeSpec" },
	      { "setHostnameAsFQDN", "subdomain", NULL },
	      { "preemptionPolicy", "priority", NULL },
	      { "overhead", "runtimeClassName", NULL },
	      { "fsGroupChangePolicy", "fsGroup", NULL } };

static bool moves(size_t i, const struct type *type)
{
	return type_find(type, str_from(moved[i].field)) != NULL && type_find(type, str_from(moved[i].behind)) != NULL &&
	       (moved[i].of == NULL || str_is(type_name(type), moved[i].of));
}

static bool is_moved(const struct type *type, struct str name)
{
	for (size_t i = 0; i < N_OF(moved); i++)
		if (str_is(name, moved[i].field) && moves(i, type))
			return true;
	return false;
}

static void go_member(struct json_builder *b, const struct type *type, const struct field *field, const struct json *tree)
{
	struct str name = field_name(field);
	const struct json *value = json_find(tree, name), *shown;
	bool pod = str_is(type_name(type), "PodSpec");

	if (pod && is_shared(name))
		return;
	shown = go_value(b->arena, field, value);
	if (pod && str_is(name, "securityContext"))
		shown = with_shared(b->arena, tree, shown);
	json_builder_member(b, go_name(b->arena, name), shown);
}

const struct json *shown_go(struct arena *arena, const struct type *type, const struct json *value)
{
	struct json_builder b = { .arena = arena };

	/* The types of meta are the same inside and outside. */
	if (type->form != FORM_STRUCT || str_has_suffix(type_package(type), STR("apis.meta.v1")))
		return value == NULL ? &json_empty_object : value;
	for (size_t i = 0; i < type_len(type); i++) {
		const struct field *field = type_at(type, i);
		const struct json *one = json_find(value, field_name(field));

		if ((field->flags & FIELD_TYPE_META) != 0)
			continue;
		if (is_moved(type, field_name(field)))
			continue;
		if (str_is(type_name(field_type(field)), "ObjectMeta")) {
			JSON_EACH (one, it)
				json_builder_member(&b, it.key, it.value);
			continue;
		}
		go_member(&b, type, field, value);
		for (size_t k = 0; k < N_OF(moved); k++)
			if (str_is(field_name(field), moved[k].behind) && moves(k, type))
				go_member(&b, type, type_find(type, str_from(moved[k].field)), value);
	}
	return json_builder_object(&b);
}
