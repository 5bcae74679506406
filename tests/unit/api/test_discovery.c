/* Discovery documents against the recorded ones, member by member and in the same order. */
#include "api/api.h"
#include "tests/unit/api/vectors.h"
#include "tests/unit/tap.h"

static void check(struct arena *arena, struct buf *out, const struct json *want)
{
	CHECK_STR(buf_str(out), json_format(arena, want));
	buf_clear(out);
}

TEST(discovery_documents)
{
	struct arena *arena = arena_new();
	const struct json *all = vector_json(arena, "live/discovery.json");
	AUTO_BUF struct buf out = { 0 };

	api_write_group_list(&out);
	check(arena, &out, json_get(all, "/apis"));
	JSON_EACH (json_get(all, "groups"), it) {
		CHECK(api_write_group(&out, it.key));
		check(arena, &out, it.value);
	}
	JSON_EACH (json_get(all, "resources"), it) {
		struct str version = it.key, group = STR("");
		if (str_find(version, '/') >= 0)
			str_cut(&version, '/', &group);
		CHECK(api_write_resource_list(&out, group, version));
		check(arena, &out, it.value);
	}
	api_write_aggregated(&out, true);
	check(arena, &out, json_get(json_get(all, "aggregated"), "/api"));
	api_write_aggregated(&out, false);
	check(arena, &out, json_get(json_get(all, "aggregated"), "/apis"));
	CHECK(!api_write_group(&out, STR("nonsense")));
	CHECK(!api_write_resource_list(&out, STR("apps"), STR("v9")));
	api_write_api_versions(&out, STR("10.0.0.1:6443"));
	CHECK_STR(buf_str(&out),
		  "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"],\"serverAddressByClientCIDRs\":[{\"clientCIDR\":\"0.0.0.0/0\","
		  "\"serverAddress\":\"10.0.0.1:6443\"}]}");
	arena_free(arena);
}
