/* References: the short forms people write, and what is none. */
#include "image/private.h"
#include "tests/unit/tap.h"

static void check_ref(const char *text, const char *full, const char *brief)
{
	struct arena *arena = arena_new();
	struct image_ref ref;

	CHECK_OK(image_ref_parse(arena, str_from(text), &ref));
	CHECK_STR(image_ref_format(arena, &ref), full);
	CHECK_STR(image_ref_short(arena, &ref), brief);
	arena_free(arena);
}

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

TEST(references_are_normalised)
{
	check_ref("busybox", "docker.io/library/busybox:latest", "busybox");
	check_ref("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36");
	check_ref("monokube/hello", "docker.io/monokube/hello:latest", "monokube/hello");
	check_ref("registry.k8s.io/pause:3.10.2", "registry.k8s.io/pause:3.10.2", "registry.k8s.io/pause:3.10.2");
	check_ref("localhost/x", "localhost/x:latest", "localhost/x");
	check_ref("localhost:5000/a/b__c:v1", "localhost:5000/a/b__c:v1", "localhost:5000/a/b__c:v1");
	check_ref("index.docker.io/library/a.b", "docker.io/library/a.b:latest", "a.b");
	check_ref("a@sha256:" HEX64, "docker.io/library/a@sha256:" HEX64, "a@sha256:" HEX64);
	check_ref("a:t@sha256:" HEX64, "docker.io/library/a:t@sha256:" HEX64, "a:t@sha256:" HEX64);
	check_ref("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x");
}

TEST(bad_references_are_refused)
{
	static const char *const bad[] = { "",        "Busybox", "a//b", "a/",  "-a",          "a-",  "a..b",
					   "a___b",   "a:",      "a:-x", "a b", "a@sha256:12", HEX64, "a:" HEX64 HEX64 "x",
					   "host:/x", "a@b",     "a.-b" };
	struct arena *arena = arena_new();
	struct image_ref ref;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error *err = image_ref_parse(arena, str_from(bad[i]), &ref);

		if (err == NULL)
			tap_fail(__FILE__, __LINE__, "\"%s\" is taken", bad[i]);
		CHECK_EQ(err->kind, ERR_INVALID);
		error_free(err);
	}
	arena_free(arena);
}
