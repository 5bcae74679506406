# What makes http weak: limits a thousand times as large, deadlines as long, and the checks of framing left out.
s/^(#define LIMIT_(HEADERS|HEADER_COUNT|URL|CHUNK_LINE|CONNECTIONS|STREAMS|STREAM_BUFFER|REQUEST_SECONDS)) +(\([^)]*\)|[0-9]+).*/\1 (1000 * \3)/
s/^(#define (CHEAP_BURST|CHEAP_RATE|UPDATES_MOST)) +([0-9]+).*/\1 (1000 * \3)/
s/options\.(headers_within|idle), on_/options.\1 * 1000, on_/
s/(\? server->options\.connections) :/\1 * 1000 :/
/^static bool is_ambiguous/,/^}/s/return true;/;/
s/max_outbound_ack\(option, [0-9]+/max_outbound_ack(option, 100000000/
