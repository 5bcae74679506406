/*
 * What a tar may be packed with: gzip, or zstd as its RFC 8878 says. libzstd also reads the formats of before (0.5 to 0.7,
 * of 2016), which no registry and no tool of images ever wrote: those readers are not in the program (90 KB). A frame of
 * theirs is refused with "Version not supported" or as if there were no memory for it.
 */
#include <zstd_errors.h>

#include "image/private.h"

void archive_filters(struct archive *archive)
{
	archive_read_support_filter_gzip(archive);
	archive_read_support_filter_zstd(archive);
}

/* What libzstd calls to read them. Nothing else of theirs is called where nothing can be made. */

#define REFUSED ((size_t)-ZSTD_error_version_unsupported)

#define FORMAT(v)                                                                                                                  \
	void *ZSTD##v##_createDCtx(void);                                                                                          \
	void *ZBUFF##v##_createDCtx(void);                                                                                         \
	size_t ZSTD##v##_freeDCtx(void *reader);                                                                                   \
	size_t ZBUFF##v##_freeDCtx(void *reader);                                                                                  \
	size_t ZSTD##v##_getFrameParams(void *params, const void *from, size_t len);                                               \
	size_t ZSTD##v##_decompress_usingDict(void *reader, void *to, size_t room, const void *from, size_t len, const void *dict, \
					      size_t dict_len);                                                                    \
	size_t ZBUFF##v##_decompressInitDictionary(void *reader, const void *dict, size_t dict_len);                               \
	size_t ZBUFF##v##_decompressContinue(void *reader, void *to, size_t *room, const void *from, size_t *len);                 \
	void ZSTD##v##_findFrameSizeInfoLegacy(const void *from, size_t len, size_t *packed, unsigned long long *plain);           \
                                                                                                                                   \
	void *ZSTD##v##_createDCtx(void)                                                                                           \
	{                                                                                                                          \
		return NULL;                                                                                                       \
	}                                                                                                                          \
	void *ZBUFF##v##_createDCtx(void)                                                                                          \
	{                                                                                                                          \
		return NULL;                                                                                                       \
	}                                                                                                                          \
	size_t ZSTD##v##_freeDCtx(void *reader)                                                                                    \
	{                                                                                                                          \
		(void)reader;                                                                                                      \
		return 0;                                                                                                          \
	}                                                                                                                          \
	size_t ZBUFF##v##_freeDCtx(void *reader)                                                                                   \
	{                                                                                                                          \
		(void)reader;                                                                                                      \
		return 0;                                                                                                          \
	}                                                                                                                          \
	size_t ZSTD##v##_getFrameParams(void *params, const void *from, size_t len)                                                \
	{                                                                                                                          \
		(void)params, (void)from, (void)len;                                                                               \
		return REFUSED;                                                                                                    \
	}                                                                                                                          \
	size_t ZSTD##v##_decompress_usingDict(void *reader, void *to, size_t room, const void *from, size_t len, const void *dict, \
					      size_t dict_len)                                                                     \
	{                                                                                                                          \
		(void)reader, (void)to, (void)room, (void)from, (void)len, (void)dict, (void)dict_len;                             \
		return REFUSED;                                                                                                    \
	}                                                                                                                          \
	size_t ZBUFF##v##_decompressInitDictionary(void *reader, const void *dict, size_t dict_len)                                \
	{                                                                                                                          \
		(void)reader, (void)dict, (void)dict_len;                                                                          \
		return REFUSED;                                                                                                    \
	}                                                                                                                          \
	size_t ZBUFF##v##_decompressContinue(void *reader, void *to, size_t *room, const void *from, size_t *len)                  \
	{                                                                                                                          \
		(void)reader, (void)to, (void)room, (void)from, (void)len;                                                         \
		return REFUSED;                                                                                                    \
	}                                                                                                                          \
	void ZSTD##v##_findFrameSizeInfoLegacy(const void *from, size_t len, size_t *packed, unsigned long long *plain)            \
	{                                                                                                                          \
		(void)from, (void)len;                                                                                             \
		*packed = REFUSED;                                                                                                 \
		*plain = (unsigned long long)-2; /* ZSTD_CONTENTSIZE_ERROR */                                                      \
	}

FORMAT(v05)
FORMAT(v06)
FORMAT(v07)
