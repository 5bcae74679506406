#include "api/api.h"
#include "tests/unit/api/vectors.h"
#include "tests/unit/tap.h"

TEST(strategic_merge)
{
	static const struct {
		const char *tree, *patch, *want; /* want starting with "!": the error */
	} trials[] = {
		/* objects, nulls, what is new */
		{ "{\"a\":1}", "{\"metadata\":{\"labels\":{\"x\":\"1\",\"y\":null}}}",
		  "{\"a\":1,\"metadata\":{\"labels\":{\"x\":\"1\"}}}" },
		{ "{\"metadata\":{\"labels\":{\"x\":\"1\",\"y\":\"2\"}}}", "{\"metadata\":{\"labels\":{\"y\":null,\"z\":\"3\"}}}",
		  "{\"metadata\":{\"labels\":{\"x\":\"1\",\"z\":\"3\"}}}" },
		/* lists by merge key; new items come first, the server's keep their place */
		{ "{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\",\"image\":\"1\"}]}}",
		  "{\"spec\":{\"containers\":[{\"name\":\"b\",\"image\":\"2\"},{\"name\":\"c\",\"image\":\"3\"}]}}",
		  "{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\",\"image\":\"2\"},{\"name\":\"c\",\"image\":\"3\"}]}}" },
		{ "{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}",
		  "{\"spec\":{\"$setElementOrder/containers\":[{\"name\":\"b\"},{\"name\":\"a\"}],\"containers\":[{\"name\":\"a\",\"image\":\"2\"}]}}",
		  "{\"spec\":{\"containers\":[{\"name\":\"b\"},{\"name\":\"a\",\"image\":\"2\"}]}}" },
		{ "{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}",
		  "{\"spec\":{\"containers\":[{\"name\":\"a\",\"$patch\":\"delete\"}]}}",
		  "{\"spec\":{\"containers\":[{\"name\":\"b\"}]}}" },
		{ "{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}",
		  "{\"spec\":{\"containers\":[{\"name\":\"c\"},{\"$patch\":\"replace\"}]}}",
		  "{\"spec\":{\"containers\":[{\"name\":\"c\"}]}}" },
		/* lists without a strategy are replaced */
		{ "{\"spec\":{\"containers\":[{\"name\":\"a\",\"command\":[\"x\",\"y\"]}]}}",
		  "{\"spec\":{\"containers\":[{\"name\":\"a\",\"command\":[\"z\"]}]}}",
		  "{\"spec\":{\"containers\":[{\"name\":\"a\",\"command\":[\"z\"]}]}}" },
		/* primitive lists merge by value */
		{ "{\"metadata\":{\"finalizers\":[\"a\",\"b\"]}}", "{\"metadata\":{\"finalizers\":[\"c\",\"b\"]}}",
		  "{\"metadata\":{\"finalizers\":[\"c\",\"a\",\"b\"]}}" },
		{ "{\"metadata\":{\"finalizers\":[\"a\",\"b\"]}}",
		  "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":[\"a\"]}}", "{\"metadata\":{\"finalizers\":[\"b\"]}}" },
		{ "{\"metadata\":{\"finalizers\":[\"a\",\"b\"]}}", "{\"metadata\":{\"$setElementOrder/finalizers\":[\"b\",\"a\"]}}",
		  "{\"metadata\":{\"finalizers\":[\"b\",\"a\"]}}" },
		/* unions */
		{ "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}}",
		  "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"$retainKeys\":[\"name\",\"hostPath\"],\"hostPath\":{\"path\":\"/\"}}]}}",
		  "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/\"}}]}}" },
		{ "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}}",
		  "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"$retainKeys\":[\"name\"],\"hostPath\":{\"path\":\"/\"}}]}}",
		  "!invalid patch format of retainKeys" },
		/* whole objects */
		{ "{\"spec\":{\"nodeSelector\":{\"a\":\"1\"}}}",
		  "{\"spec\":{\"nodeSelector\":{\"$patch\":\"replace\",\"b\":\"2\"}}}",
		  "{\"spec\":{\"nodeSelector\":{\"b\":\"2\"}}}" },
		{ "{\"spec\":{\"nodeSelector\":{\"a\":\"1\"}}}", "{\"spec\":{\"nodeSelector\":{\"$patch\":\"delete\"}}}",
		  "{\"spec\":{\"nodeSelector\":{}}}" },
		/* errors */
		{ "{\"spec\":{\"containers\":[{\"name\":\"c\"}]}}",
		  "{\"spec\":{\"containers\":[{\"$patch\":\"explode\",\"name\":\"c\"}]}}",
		  "!unknown patch type: explode in map: map[$patch:explode name:c]" },
		{ "{\"spec\":{\"containers\":[{\"name\":\"c\"}]}}", "{\"spec\":{\"containers\":[{\"image\":\"a\"}]}}",
		  "!map: map[image:a] does not contain declared merge key: name" },
		{ "{\"spec\":{\"containers\":[{\"name\":\"c\"}]}}", "{\"spec\":{\"$setElementOrder/containers\":\"x\"}}",
		  "!invalid patch format of setElementOrder list" },
		{ "{\"spec\":{\"containers\":[{\"name\":\"c\",\"command\":[\"a\"]}]}}",
		  "{\"spec\":{\"containers\":[{\"name\":\"c\",\"$setElementOrder/command\":[{\"a\":1}]}]}}",
		  "!invalid patch format of setElementOrder list" },
		{ "{}", "[]", "!error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}" },
	};

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		struct arena *arena = arena_new();
		const struct json *out = NULL;
		AUTO_ERROR err = api_strategic_merge(arena, kind_type(kind_must("v1", "Pod")), from(arena, trials[i].tree),
						     from(arena, trials[i].patch), &out);
		if (trials[i].want[0] == '!') {
			CHECK(err != NULL);
			CHECK_STR(err->text, trials[i].want + 1);
		} else {
			CHECK(err == NULL);
			CHECK_STR(json_format(arena, out), trials[i].want);
		}
		arena_free(arena);
	}
}
