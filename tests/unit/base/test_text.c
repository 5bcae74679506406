#include <string.h>

#include "base/base.h"
#include "tests/unit/tap.h"

TEST(str_cut_gives_each_piece_once)
{
	struct str s = STR("a//b"), head;

	CHECK(str_cut(&s, '/', &head));
	CHECK_STR(head, "a");
	CHECK(str_cut(&s, '/', &head));
	CHECK_STR(head, "");
	CHECK(str_cut(&s, '/', &head));
	CHECK_STR(head, "b");
	CHECK(!str_cut(&s, '/', &head));
	CHECK(head.len == 0 && head.ptr != NULL); /* many look at it all the same */
}

TEST(str_numbers_refuse_what_is_out_of_range)
{
	int64_t i;
	uint64_t u;

	CHECK(str_to_i64(STR("-9223372036854775808"), &i));
	CHECK(i == INT64_MIN);
	CHECK(!str_to_i64(STR("9223372036854775808"), &i));
	CHECK(str_to_u64(STR("18446744073709551615"), &u));
	CHECK(!str_to_u64(STR("18446744073709551616"), &u));
	CHECK(!str_to_i64(STR(""), &i));
	CHECK(!str_to_i64(STR("-"), &i));
	CHECK(!str_to_i64(STR("1x"), &i));
}

TEST(str_order_is_bytewise)
{
	CHECK(str_cmp(STR("a"), STR("ab")) < 0);
	CHECK(str_cmp(STR("\xff"), STR("a")) > 0);
	CHECK(str_eq(STR(""), (struct str){ 0 }));
	CHECK_STR(str_trim(STR(" \tx y\n")), "x y");
	CHECK_EQ(str_rfind(STR("a/b/c"), '/'), 3);
	CHECK(str_contains(STR("abc"), STR("bc")));
	CHECK(!str_contains(STR("abc"), STR("cb")));
}

TEST(time_text_round_trips)
{
	char text[TIME_TEXT];
	int64_t ns;

	CHECK(time_parse(STR("2026-11-22T02:18:03.123456789+02:00"), &ns));
	CHECK_STR(time_format(text, ns), "2026-11-22T00:18:03Z");
	CHECK_STR(time_format_micro(text, ns), "2026-11-22T00:18:03.123456Z");
	CHECK_STR(time_format_nano(text, ns), "2026-11-22T00:18:03.123456789Z");
	CHECK(time_parse(STR("1969-12-31T23:59:59Z"), &ns));
	CHECK_STR(time_format(text, ns), "1969-12-31T23:59:59Z");
	CHECK(!time_parse(STR("2025-02-29T00:00:00Z"), &ns));
	CHECK(time_parse(STR("2024-02-29T00:00:00Z"), &ns));
	CHECK(!time_parse(STR("2024-02-30T00:00:00Z"), &ns));
	CHECK(!time_parse(STR("2024-01-01 00:00:00Z"), &ns));
	CHECK(!time_parse(STR("2024-01-01T00:00:00"), &ns));
}

TEST(time_human_is_kubectls)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} rows[] = { { 0, "0s" },      { 119, "119s" },     { 120, "2m" },      { 121, "2m1s" },
		     { 600, "10m" },   { 10799, "179m" },   { 10800, "3h" },    { 10860, "3h1m" },
		     { 86400, "24h" }, { 172800, "2d" },    { 176400, "2d1h" }, { 691200, "8d" },
		     { -1, "0s" },     { -5, "<invalid>" }, { 63072000, "2y" }, { 63158400, "2y1d" } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[TIME_TEXT];

		CHECK_STR(time_human(text, rows[i].seconds * NS_PER_S), rows[i].text);
	}
}

TEST(clock_simulation_stands_still)
{
	clock_sim(5, 7);
	CHECK_EQ(clock_mono(), 5);
	clock_sim_step(10);
	CHECK_EQ(clock_mono(), 15);
	CHECK_EQ(clock_now(), 17);
	clock_advance(100);
	CHECK_EQ(clock_now(), 117);
	CHECK_EQ(clock_mono(), 15);
	clock_sim_end();
	CHECK(clock_now() > 1000);
}

TEST(random_names_and_uuids_have_their_form)
{
	char uuid[37], name[6] = { 0 };

	rand_uuid(uuid);
	CHECK_EQ(strlen(uuid), 36);
	CHECK_EQ(uuid[14], '4');
	CHECK(strchr("89ab", uuid[19]) != NULL);
	rand_name(name, 5);
	CHECK_EQ(strspn(name, "bcdfghjklmnpqrstvwxz2456789"), 5);
}

TEST(base64_is_strict)
{
	AUTO_BUF struct buf out = { 0 };

	base64_encode(&out, STR("\xff\xfe\x01z"));
	CHECK_STR(buf_str(&out), "//4Beg==");
	buf_clear(&out);
	CHECK(base64_decode(&out, STR("//4B\neg==")));
	CHECK_STR(buf_str(&out), "\xff\xfe\x01z");
	buf_clear(&out);
	CHECK(!base64_decode(&out, STR("//4Beg=")));
	CHECK(!base64_decode(&out, STR("//4Beg")));
	CHECK(!base64_decode(&out, STR("A")));
	CHECK(!base64_decode(&out, STR("====")));
	CHECK(!base64_decode(&out, STR("AA=A")));
	buf_clear(&out);
	base64url_encode(&out, STR("\xff\xfe\x01z"));
	CHECK_STR(buf_str(&out), "__4Beg");
	buf_clear(&out);
	CHECK(base64url_decode(&out, STR("__4Beg")));
	CHECK_EQ(out.len, 4);
	buf_clear(&out);
	hex_encode(&out, STR("\x00\xab"));
	CHECK_STR(buf_str(&out), "00ab");
}

TEST(ip_arithmetic_in_both_families)
{
	struct ip ip;
	struct cidr cidr;
	char text[IP_TEXT];

	CHECK(ip_parse(STR("10.96.0.255"), &ip));
	CHECK_STR(ip_format(text, ip_add(ip, 2)), "10.96.1.1");
	CHECK(ip_parse(STR("fd00::ffff"), &ip));
	CHECK_STR(ip_format(text, ip_add(ip, 1)), "fd00::1:0");
	CHECK(!ip_parse(STR("10.0.0.01"), &ip));
	CHECK(!ip_parse(STR("fe80::1%eth0"), &ip));
	CHECK(!ip_parse(STR("10.0.0"), &ip));
	CHECK(cidr_parse(STR("10.96.3.4/12"), &cidr));
	CHECK_STR(ip_format(text, cidr_first(cidr)), "10.96.0.0");
	CHECK_STR(ip_format(text, cidr_last(cidr)), "10.111.255.255");
	CHECK(cidr_contains(cidr, ip_v4(10, 100, 0, 1)));
	CHECK(!cidr_contains(cidr, ip_v4(10, 112, 0, 1)));
	CHECK_EQ(ip_sub(cidr_last(cidr), cidr_first(cidr)), (1 << 20) - 1);
	CHECK(!cidr_parse(STR("10.0.0.0/33"), &cidr));
	CHECK(!cidr_parse(STR("10.0.0.0/08"), &cidr));
	CHECK(!cidr_parse(STR("10.0.0.0"), &cidr));
	CHECK(cidr_parse(STR("fd00::/64"), &cidr));
	CHECK_STR(cidr_format(text, cidr), "fd00::/64");
	CHECK_STR(ip_format(text, cidr_last(cidr)), "fd00::ffff:ffff:ffff:ffff");
}

TEST(fsm_names_its_state)
{
	static const uint32_t allowed[] = { FSM(1), FSM(0) };
	static const char *const names[] = { "idle", "busy" };
	static const struct fsm_table table = { "test", names, allowed, 2 };
	struct fsm fsm = { &table, 0 };

	fsm_move(&fsm, 1);
	CHECK_STR(fsm_name(&fsm), "busy");
}
