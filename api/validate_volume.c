/* Volumes of a pod and where containers mount them. Rules: pkg/apis/core/validation, ValidateVolumes and below. */
#include <string.h>

#include "api/check.h"
#include "api/check_pod.h"
#include "api/quantity.h"

/* ---- paths ---- */

void check_no_backsteps(struct api_findings *f, const char *path, struct str value)
{
	struct str rest = value, piece;

	while (str_cut(&rest, '/', &piece)) {
		if (!str_is(piece, ".."))
			continue;
		finding_invalid_text(f, path, value, "must not contain '..'");
		return;
	}
}

void check_descending_path(struct api_findings *f, const char *path, struct str value)
{
	if (value.len != 0 && value.ptr[0] == '/')
		finding_invalid_text(f, path, value, "must be a relative path");
	check_no_backsteps(f, path, value);
}

static void check_local_path(struct api_findings *f, const char *path, struct str value)
{
	check_descending_path(f, path, value);
	if (str_has_prefix(value, STR("..")) && !str_has_prefix(value, STR("../")) && value.len > 2)
		finding_invalid_text(f, path, value, "must not start with '..'");
}

static void check_mode(struct api_findings *f, const char *path, const struct json *mode)
{
	if (json_int(mode, 0) < 0 || json_int(mode, 0) > 0777)
		finding_invalid(f, path, mode, "must be a number between 0 and 0777 (octal), both inclusive");
}

static void check_items(struct api_findings *f, const char *path, const struct json *items)
{
	JSON_EACH (items, it) {
		const char *at = AT(f, "%s.items[%zu]", path, it.index);
		struct str file = json_get_str(it.value, "path");
		if (json_get_str(it.value, "key").len == 0)
			finding_required(f, AT(f, "%s.key", at), "");
		if (file.len == 0)
			finding_required(f, AT(f, "%s.path", at), "");
		check_local_path(f, AT(f, "%s.path", at), file);
		check_mode(f, AT(f, "%s.mode", at), json_get(it.value, "mode"));
	}
}

static void require(struct api_findings *f, const char *path, const struct json *value, const char *field)
{
	if (json_get_str(value, field).len == 0 && json_len(json_get(value, field)) == 0)
		finding_required(f, AT(f, "%s.%s", path, field), "");
}

/* ---- sources ---- */

static void check_empty_dir(struct api_findings *f, const char *path, const struct json *source)
{
	struct quantity limit = quantity_of(json_get(source, "sizeLimit"));

	if (quantity_sign(&limit) < 0)
		finding_forbidden(f, AT(f, "%s.sizeLimit", path), "SizeLimit field must be a valid resource quantity");
}

static void check_host_path(struct api_findings *f, const char *path, const struct json *source)
{
	static const char *const types[] = { "",     "BlockDevice",  "CharDevice", "Directory", "DirectoryOrCreate",
					     "File", "FileOrCreate", "Socket" };
	struct str where = json_get_str(source, "path");

	if (where.len == 0) {
		finding_required(f, AT(f, "%s.path", path), "");
		return;
	}
	check_no_backsteps(f, AT(f, "%s.path", path), where);
	check_one_of(f, AT(f, "%s.type", path), json_get_str(source, "type"), false, types, N_OF(types));
}

static void check_secret(struct api_findings *f, const char *path, const struct json *source)
{
	require(f, path, source, "secretName");
	check_mode(f, AT(f, "%s.defaultMode", path), json_get(source, "defaultMode"));
	check_items(f, path, json_get(source, "items"));
}

static void check_config_map(struct api_findings *f, const char *path, const struct json *source)
{
	require(f, path, source, "name");
	check_mode(f, AT(f, "%s.defaultMode", path), json_get(source, "defaultMode"));
	check_items(f, path, json_get(source, "items"));
}

static void check_claim(struct api_findings *f, const char *path, const struct json *source)
{
	require(f, path, source, "claimName");
}

void check_nfs(struct api_findings *f, const char *path, const struct json *source)
{
	struct str where = json_get_str(source, "path");

	require(f, path, source, "server");
	require(f, path, source, "path");
	if (where.len == 0 || where.ptr[0] != '/')
		finding_invalid_text(f, AT(f, "%s.path", path), where, "must be an absolute path");
}

static void check_downward_items(struct api_findings *f, const char *path, const struct json *items)
{
	JSON_EACH (items, it) {
		struct str file = json_get_str(it.value, "path");
		if (file.len == 0)
			finding_required(f, AT(f, "%s.path", path), "");
		check_local_path(f, AT(f, "%s.path", path), file);
		if (json_get(it.value, "fieldRef") != NULL)
			check_field_ref(f, AT(f, "%s.fieldRef", path), json_get(it.value, "fieldRef"), true);
		else if (json_get(it.value, "resourceFieldRef") == NULL)
			finding_required(f, path, "one of fieldRef and resourceFieldRef is required");
		check_mode(f, AT(f, "%s.mode", path), json_get(it.value, "mode"));
	}
}

static void check_downward(struct api_findings *f, const char *path, const struct json *source)
{
	check_mode(f, AT(f, "%s.defaultMode", path), json_get(source, "defaultMode"));
	check_downward_items(f, path, json_get(source, "items"));
}

/* Files that several sources of a projected volume would write. */
struct taken {
	struct api_findings *f;
	const char *path;
	struct places files;
	size_t n;
};

static void take_file(struct taken *taken, struct str file, struct str who)
{
	if (file.len == 0)
		return;
	if (places_add(&taken->files, file, taken->n) != taken->n)
		finding_invalid_text(taken->f, taken->path, who, "conflicting duplicate paths");
	taken->n++;
}

static void check_token(struct api_findings *f, const char *path, const char *volume, const struct json *token)
{
	const struct json *seconds = json_get(token, "expirationSeconds");

	if (json_int(seconds, 3600) < 600)
		finding_invalid(f, AT(f, "%s.expirationSeconds", path), seconds, "may not specify a duration less than 10 minutes");
	if (json_int(seconds, 0) > INT64_C(1) << 32)
		finding_invalid(f, AT(f, "%s.expirationSeconds", path), seconds,
				"may not specify a duration larger than 2^32 seconds");
	if (json_get_str(token, "path").len == 0)
		finding_required(f, AT(f, "%s.path", volume), "");
	else
		check_local_path(f, AT(f, "%s.path", volume), json_get_str(token, "path"));
}

static void check_projected(struct api_findings *f, const char *path, const struct json *source)
{
	static const char *const named[] = { "secret", "configMap" };
	struct taken taken = { .f = f, .path = path, .files = { .arena = f->arena } };

	check_mode(f, AT(f, "%s.defaultMode", path), json_get(source, "defaultMode"));
	JSON_EACH (json_get(source, "sources"), it) {
		const char *at = AT(f, "%s.sources[%zu]", path, it.index);
		const struct json *down = json_get(it.value, "downwardAPI"), *token = json_get(it.value, "serviceAccountToken");
		for (int i = 0; i < 2; i++) {
			const struct json *one = json_get(it.value, named[i]);
			if (one == NULL)
				continue;
			require(f, AT(f, "%s.%s", at, named[i]), one, "name");
			check_items(f, AT(f, "%s.%s", at, named[i]), json_get(one, "items"));
			JSON_EACH (json_get(one, "items"), item)
				take_file(&taken, json_get_str(item.value, "path"), json_get_str(one, "name"));
		}
		if (down != NULL)
			check_downward_items(f, AT(f, "%s.downwardAPI", at), json_get(down, "items"));
		JSON_EACH (json_get(down, "items"), item)
			take_file(&taken, json_get_str(item.value, "path"), json_get_str(item.value, "path"));
		if (token != NULL)
			check_token(f, AT(f, "%s.serviceAccountToken", at), path, token);
		if (json_len(it.value) > 1)
			finding_forbidden(f, at, "may not specify more than 1 volume type per source");
	}
}

void check_fc(struct api_findings *f, const char *path, const struct json *source)
{
	size_t targets = json_len(json_get(source, "targetWWNs")), ids = json_len(json_get(source, "wwids"));
	const struct json *lun = json_get(source, "lun");

	if (targets == 0 && ids == 0)
		finding_required(f, AT(f, "%s.targetWWNs", path), "must specify either targetWWNs or wwids, but not both");
	if (targets != 0 && ids != 0)
		finding_invalid(f, AT(f, "%s.targetWWNs", path), json_get(source, "targetWWNs"),
				"targetWWNs and wwids can not be specified simultaneously");
	if (targets != 0 && ids == 0 && lun == NULL)
		finding_required(f, AT(f, "%s.lun", path), "lun is required if targetWWNs is specified");
}

static bool initiator(struct str name)
{
	return str_has_prefix(name, STR("iqn")) || str_has_prefix(name, STR("eui")) || str_has_prefix(name, STR("naa"));
}

void check_iscsi(struct api_findings *f, const char *path, const struct json *source)
{
	struct str iqn = json_get_str(source, "iqn");
	const struct json *name = json_get(source, "initiatorName"), *lun = json_get(source, "lun");
	bool secret = json_bool(json_get(source, "chapAuthDiscovery")) || json_bool(json_get(source, "chapAuthSession"));

	require(f, path, source, "targetPortal");
	require(f, path, source, "iqn");
	if (iqn.len != 0 && !initiator(iqn))
		finding_invalid_text(f, AT(f, "%s.iqn", path), iqn, "must be valid format starting with iqn, eui, or naa");
	if (json_int(lun, 0) < 0 || json_int(lun, 0) > 255)
		finding_invalid(f, AT(f, "%s.lun", path), lun, "must be between 0 and 255, inclusive");
	if (secret && json_get(source, "secretRef") == NULL)
		finding_required(f, AT(f, "%s.secretRef", path), "");
	if (name != NULL && !initiator(json_str(name)))
		finding_invalid(f, AT(f, "%s.initiatorname", path), name, "must be valid format starting with iqn, eui, or naa");
}

void check_flocker(struct api_findings *f, const char *path, const struct json *source)
{
	struct str name = json_get_str(source, "datasetName"), uid = json_get_str(source, "datasetUUID");

	if (name.len == 0 && uid.len == 0)
		finding_required(f, path, "one of datasetName and datasetUUID is required");
	if (name.len != 0 && uid.len != 0)
		finding_invalid_text(f, path, STR("resource"), "datasetName and datasetUUID can not be specified simultaneously");
	if (str_find(name, '/') >= 0)
		finding_invalid_text(f, AT(f, "%s.datasetName", path), name, "must not contain '/'");
}

static void check_flex(struct api_findings *f, const char *path, const struct json *source)
{
	JSON_EACH (json_get(source, "options"), it) {
		struct str rest = it.key, space = it.key;
		if (str_find(it.key, '/') >= 0)
			str_cut(&rest, '/', &space);
		space = str_format(f->arena, ".%.*s", STR_ARG(str_lower(f->arena, space)));
		if (str_has_suffix(space, STR(".kubernetes.io")) || str_has_suffix(space, STR(".k8s.io")))
			finding_invalid_text(f, AT(f, "%s.options[%.*s]", path, STR_ARG(it.key)), it.key,
					     "kubernetes.io and k8s.io namespaces are reserved");
	}
}

void check_csi_driver_name(struct api_findings *f, const char *path, struct str name)
{
	if (name.len == 0) {
		finding_required(f, path, "");
		return;
	}
	if (name.len > 63)
		finding_too_long(f, path, 63);
	check_complaints(f, path, name, name_dns_subdomain(str_lower(f->arena, name)));
}

static void check_csi(struct api_findings *f, const char *path, const struct json *source)
{
	const struct json *secret = json_get(source, "nodePublishSecretRef");
	struct str name = json_get_str(secret, "name");

	check_csi_driver_name(f, AT(f, "%s.driver", path), json_get_str(source, "driver"));
	if (secret != NULL && name.len == 0)
		finding_required(f, AT(f, "%s.nodePublishSecretRef.name", path), "");
	else if (secret != NULL)
		check_complaints(f, AT(f, "%s.name", path), name, name_dns_subdomain(name));
}

static void check_ephemeral_volume(struct api_findings *f, const char *path, const struct json *source)
{
	const struct json *template = json_get(source, "volumeClaimTemplate");

	path = AT(f, "%s.volumeClaimTemplate", path);
	if (template == NULL) {
		finding_required(f, path, "");
		return;
	}
	check_annotations(f, AT(f, "%s.metadata.annotations", path), json_path(template, "metadata.annotations"));
	check_labels(f, AT(f, "%s.metadata.labels", path), json_path(template, "metadata.labels"));
	check_claim_spec(f, AT(f, "%s.spec", path), json_get(template, "spec"));
}

/* In upstream's order, which says which of two sources is one too many. */
void check_azure_disk(struct api_findings *f, const char *path, const struct json *source)
{
	static const char *const caches[] = { "None", "ReadOnly", "ReadWrite" }, *const kinds[] = { "Dedicated", "Managed",
												    "Shared" };
	static const char *const managed[] = {
		"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
	};
	static const char *const blob[] = { "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd" };
	const struct json *kind = json_get(source, "kind");
	struct str uri = json_get_str(source, "diskURI");
	const char *at = AT(f, "%s.diskURI", path);

	check_if_one_of(f, AT(f, "%s.cachingMode", path), json_get(source, "cachingMode"), caches, N_OF(caches));
	check_if_one_of(f, AT(f, "%s.kind", path), kind, kinds, N_OF(kinds));
	if (kind != NULL && str_is(json_str(kind), "Managed") && !str_has_prefix(uri, STR("/subscriptions/")))
		finding_unsupported(f, at, uri, managed, 1);
	if (kind != NULL && !str_is(json_str(kind), "Managed") && !str_has_prefix(uri, STR("https://")))
		finding_unsupported(f, at, uri, blob, 1);
}

static const struct {
	const char *name;
	void (*check)(struct api_findings *f, const char *path, const struct json *source);
	const char *required[3]; /* texts that must not be empty */
	const char *shown[2];    /* when it is the first, when it is one too many */
} sources[] = {
	{ .name = "emptyDir", .check = check_empty_dir },
	{ .name = "hostPath", .check = check_host_path },
	{ .name = "gitRepo", .required = { "repository" } },
	{ .name = "gcePersistentDisk", .required = { "pdName" }, .shown = { "persistentDisk" } },
	{ .name = "awsElasticBlockStore", .required = { "volumeID" } },
	{ .name = "secret", .check = check_secret },
	{ .name = "nfs", .check = check_nfs },
	{ .name = "iscsi", .check = check_iscsi },
	{ .name = "glusterfs", .required = { "endpoints", "path" } },
	{ .name = "flocker", .check = check_flocker },
	{ .name = "persistentVolumeClaim", .check = check_claim },
	{ .name = "rbd", .required = { "monitors", "image" } },
	{ .name = "cinder", .required = { "volumeID" } },
	{ .name = "cephfs", .required = { "monitors" }, .shown = { NULL, "cephFS" } },
	{ .name = "quobyte", .required = { "volume" } },
	{ .name = "downwardAPI", .check = check_downward, .shown = { NULL, "downwarAPI" } },
	{ .name = "fc", .check = check_fc },
	{ .name = "flexVolume", .check = check_flex, .required = { "driver" } },
	{ .name = "configMap", .check = check_config_map },
	{ .name = "azureFile", .required = { "secretName", "shareName" } },
	{ .name = "vsphereVolume", .required = { "volumePath" } },
	{ .name = "photonPersistentDisk", .required = { "pdID" } },
	{ .name = "portworxVolume", .required = { "volumeID" } },
	{ .name = "azureDisk", .check = check_azure_disk, .required = { "diskName", "diskURI" } },
	{ .name = "storageos", .required = { "volumeName" } },
	{ .name = "projected", .check = check_projected },
	{ .name = "scaleIO", .required = { "gateway", "system", "volumeName" } },
	{ .name = "csi", .check = check_csi },
	{ .name = "ephemeral", .check = check_ephemeral_volume },
	{ .name = "image" },
};

static void check_one_source(struct api_findings *f, const char *path, size_t which, const struct json *source)
{
	for (size_t i = 0; i < N_OF(sources[which].required) && sources[which].required[i] != NULL; i++)
		require(f, path, source, sources[which].required[i]);
	if (sources[which].check != NULL)
		sources[which].check(f, path, source);
}

static void check_source(struct api_findings *f, const char *path, const struct json *volume)
{
	size_t n = 0;

	for (size_t i = 0; i < N_OF(sources); i++) {
		const struct json *source = json_get(volume, sources[i].name);
		/* Upstream names some otherwise. */
		const char *at = AT(f, "%s.%s", path,
				    sources[i].shown[0] != NULL && n == 0   ? sources[i].shown[0]
				    : sources[i].shown[1] != NULL && n != 0 ? sources[i].shown[1]
									    : sources[i].name);
		if (source == NULL)
			continue;
		if (n++ != 0)
			finding_forbidden(f, at, "may not specify more than 1 volume type");
		else
			check_one_source(f, at, i, source);
	}
	if (n == 0)
		finding_required(f, path, "must specify a volume type");
}

const struct json *check_volumes(struct api_findings *f, const char *path, const struct json *volumes)
{
	struct json_builder good = { .arena = f->arena };
	struct places names = { .arena = f->arena };

	JSON_EACH (volumes, it) {
		const char *at = AT(f, "%s[%zu]", path, it.index);
		struct str name = json_get_str(it.value, "name");
		size_t before = f->found;
		check_source(f, at, it.value);
		if (name.len == 0)
			finding_required(f, AT(f, "%s.name", at), "");
		else
			check_complaints(f, AT(f, "%s.name", at), name, name_dns_label(name));
		if (places_find(&names, name) != PLACES_NONE)
			finding_duplicate(f, AT(f, "%s.name", at), json_string(f->arena, name));
		if (f->found != before)
			continue;
		places_add(&names, name, it.index);
		json_builder_member(&good, name, it.value);
	}
	return json_builder_object(&good);
}

/* ---- mounts ---- */

static void check_propagation(struct api_findings *f, const char *path, const struct json *mount, const struct json *container)
{
	static const char *const modes[] = { "Bidirectional", "HostToContainer", "None" };
	struct str mode = json_get_str(mount, "mountPropagation");

	check_if_one_of(f, path, json_get(mount, "mountPropagation"), modes, N_OF(modes));
	if (str_is(mode, "Bidirectional") && !json_bool(json_path(container, "securityContext.privileged")))
		finding_forbidden(f, path, "Bidirectional mount propagation is available only to privileged containers");
}

static void check_read_only(struct api_findings *f, const char *path, const struct json *mount)
{
	static const char *const modes[] = { "Disabled", "Enabled", "IfPossible" };
	const struct json *mode = json_get(mount, "recursiveReadOnly");
	struct str propagation = json_get_str(mount, "mountPropagation");

	check_if_one_of(f, path, mode, modes, N_OF(modes));
	if (!str_is(json_str(mode), modes[1]) && !str_is(json_str(mode), modes[2]))
		return;
	if (!json_bool(json_get(mount, "readOnly")))
		finding_forbidden(f, path, "may only be specified when readOnly is true");
	if (json_get(mount, "mountPropagation") != NULL && !str_is(propagation, "None"))
		finding_forbidden(f, path, "may only be specified when mountPropagation is None or not specified");
}

/* A mount must not be a device too, by name or path; and the other way round. */
static void check_against(struct api_findings *f, const char *at, const struct json *one, const struct json *others,
			  const char *own_path, const char *other_path, const char *list)
{
	bool name = false, where = false;

	JSON_EACH (others, it) {
		name = name || str_eq(json_get_str(it.value, "name"), json_get_str(one, "name"));
		where = where || str_eq(json_get_str(it.value, other_path), json_get_str(one, own_path));
	}
	if (name)
		finding_invalid_text(f, AT(f, "%s.name", at), json_get_str(one, "name"),
				     AT(f, "must not already exist in %s", list));
	if (where)
		finding_invalid_text(f, AT(f, "%s.%s", at, own_path), json_get_str(one, own_path),
				     AT(f, "must not already exist as a path in %s", list));
}

static bool backsteps(struct str path)
{
	struct str piece;

	while (str_cut(&path, '/', &piece))
		if (str_is(piece, ".."))
			return true;
	return false;
}

static void check_device(struct api_findings *f, const char *at, const struct json *device, const struct json *volume)
{
	struct str where = json_get_str(device, "devicePath");

	if (json_get_str(device, "name").len == 0)
		finding_required(f, AT(f, "%s.name", at), "");
	if (volume == NULL)
		finding_not_found(f, AT(f, "%s.name", at), json_string(f->arena, json_get_str(device, "name")));
	else if (json_get(volume, "persistentVolumeClaim") == NULL && json_get(volume, "ephemeral") == NULL)
		finding_invalid(f, AT(f, "%s.name", at), json_get(device, "name"),
				"can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
	if (where.len == 0)
		finding_required(f, AT(f, "%s.devicePath", at), "");
	if (backsteps(where))
		finding_invalid_text(f, AT(f, "%s.devicePath", at), where, "can not contain backsteps ('..')");
}

void check_devices(struct api_findings *f, const char *path, const struct json *container, const struct json *volumes)
{
	struct places names = { .arena = f->arena }, paths = names;

	JSON_EACH (json_get(container, "volumeDevices"), it) {
		const char *at = AT(f, "%s[%zu]", path, it.index);
		struct str name = json_get_str(it.value, "name"), where = json_get_str(it.value, "devicePath");

		check_device(f, at, it.value, json_find(volumes, name));
		if (name.len != 0 && places_add(&names, name, it.index) != it.index)
			finding_invalid_text(f, AT(f, "%s.name", at), name, "must be unique");
		if (!backsteps(where) && places_add(&paths, where, it.index) != it.index)
			finding_invalid_text(f, AT(f, "%s.devicePath", at), where, "must be unique");
		check_against(f, at, it.value, json_get(container, "volumeMounts"), "devicePath", "mountPath", "volumeMounts");
	}
}

void check_mounts(struct api_findings *f, const char *path, const struct json *container, const struct json *volumes)
{
	struct places paths = { .arena = f->arena };

	JSON_EACH (json_get(container, "volumeMounts"), it) {
		const char *at = AT(f, "%s[%zu]", path, it.index);
		struct str name = json_get_str(it.value, "name"), where = json_get_str(it.value, "mountPath");
		struct str sub = json_get_str(it.value, "subPath"), expression = json_get_str(it.value, "subPathExpr");
		if (name.len == 0)
			finding_required(f, AT(f, "%s.name", at), "");
		if (json_find(volumes, name) == NULL)
			finding_not_found(f, AT(f, "%s.name", at), json_string(f->arena, name));
		if (where.len == 0)
			finding_required(f, AT(f, "%s.mountPath", at), "");
		if (places_add(&paths, where, it.index) != it.index)
			finding_invalid_text(f, AT(f, "%s.mountPath", at), where, "must be unique");
		/* Upstream names the list, not the mount, for these. */
		check_descending_path(f, AT(f, "%s.subPath", path), sub);
		if (expression.len != 0 && sub.len != 0)
			finding_invalid_text(f, AT(f, "%s.subPathExpr", at), expression,
					     "subPathExpr and subPath are mutually exclusive");
		check_descending_path(f, AT(f, "%s.subPathExpr", path), expression);
		check_read_only(f, AT(f, "%s.recursiveReadOnly", path), it.value);
		check_against(f, at, it.value, json_get(container, "volumeDevices"), "mountPath", "devicePath", "volumeDevices");
		if (json_get(it.value, "mountPropagation") != NULL)
			check_propagation(f, AT(f, "%s.mountPropagation", path), it.value, container);
	}
}
