/*
 * Every maximum, in one place. What comes from outside is bounded by one of these; a value that Kubernetes fixes names
 * its source.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

/* json, api */
#define LIMIT_JSON_DEPTH       10000 /* as Go's encoding/json */
#define LIMIT_YAML_DEPTH       1000
#define LIMIT_YAML_NODES       1000000            /* of one document, with its aliases expanded */
#define LIMIT_BODY             (3 * 1024 * 1024)  /* request body; apiserver's MaxRequestBodyBytes */
#define LIMIT_AT_ONCE          (16 * 1024)        /* bytes of JSON that a turn of the loop deals with; more goes to a thread */
#define LIMIT_OBJECT           (1536 * 1024)      /* one object in the store; etcd's DefaultMaxRequestBytes */
#define LIMIT_OBJECT_MESSAGE   (2 * 1024 * 1024)  /* from here on it is etcd's client that refuses */
#define LIMIT_SCHEMA_DEPTH     128                /* levels of JSON in the schema of a custom resource */
#define LIMIT_PATTERN_SIZE     100000             /* of a regular expression, its repetitions written out */
#define LIMIT_PATCH_OPERATIONS 10000              /* JSON patch; apiserver's default */
#define LIMIT_PATCH_BYTES      (64 * 1024 * 1024) /* what the operations of one JSON patch may use on their way */
#define LIMIT_ANNOTATIONS      (256 * 1024)       /* all of one object */
#define LIMIT_STRUCTS          30000              /* items of lists and maps, of one object */
#define LIMIT_CAUSES           1000               /* that an answer names; the others are wrong, too, but not told */
#define LIMIT_CAUSE_BYTES      (1024 * 1024)      /* nor those after so much text */

/* http */
#define LIMIT_HEADERS         (64 * 1024) /* of one request, after HPACK */
#define LIMIT_HEADER_COUNT    200
#define LIMIT_URL             (16 * 1024)
#define LIMIT_CHUNK_LINE      (16 * 1024) /* length and extensions of one chunk, or the trailers */
#define LIMIT_CONNECTIONS     1024
#define LIMIT_STREAMS         250          /* concurrent, per HTTP/2 connection */
#define LIMIT_PLAIN_REPLY     (128 * 1024) /* bytes; longer answers go as gzip to those who take it, as apiserver's */
#define LIMIT_STREAM_BUFFER   (256 * 1024) /* bytes waiting for one slow reader */
#define LIMIT_REFUSAL         50000        /* bytes of what a kubelet says instead of a log; apiserver's maxReadLength */
#define LIMIT_HEADER_SECONDS  10           /* slowloris: headers must be complete by then */
#define LIMIT_REQUEST_SECONDS 60           /* one request that is not a watch; apiserver's default */

/* store, watch */
#define LIMIT_WATCH_BACKLOG   10000              /* events a watcher may be behind before it is closed */
#define LIMIT_HISTORY_SECONDS 300                /* the window that clients may ask for, then 410 */
#define LIMIT_WINDOW_BYTES    (64 * 1024 * 1024) /* superseded states that the window may keep; it gets shorter then */
#define LIMIT_COMMIT_BYTES    (16 * 1024 * 1024) /* queued writes waiting for the store thread */
#define LIMIT_LIST_PAGE       10000              /* objects, when a client asks for a larger limit it gets pages */

/* image, runtime, node */
#define LIMIT_LAYERS         128
#define LIMIT_LAYER_BYTES    (8LL * 1024 * 1024 * 1024)
#define LIMIT_LAYER_FILES    1000000
#define LIMIT_MANIFEST_BYTES (4 * 1024 * 1024)
#define LIMIT_ENV_BYTES      (1024 * 1024)
#define LIMIT_LOG_LINE       (16 * 1024)   /* CRI log format */
#define LIMIT_NODE_MESSAGE   (1024 * 1024) /* one message of the node protocol */
#define LIMIT_NODES          100
#define LIMIT_PODS_PER_NODE  110 /* kubelet's default */

/* dns */
#define LIMIT_DNS_UDP 1232 /* EDNS answer, DNS flag day 2020 */

#endif
