/*
 * The parts of SQLite that are not in the program. Debian's archive registers its extensions with every connection, so
 * the linker would take them all: 0.6 MB, with the part of libm that SQL can call. The statements of the log, all of them
 * in this folder, use none. Here is what SQLite calls to have them, with nothing behind it; a statement that did use one
 * is refused when it is prepared ("no such function", "no such module").
 */
#include <math.h>

#include "store/sqlite.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

/* The linker takes this file before SQLite's archive because somebody calls this. */
void sqlite_parts(void)
{
}

/* --- extensions that are compiled in --- */

#define EXTENSION(init)                                                                                                            \
	int init(sqlite3 *db)                                                                                                      \
	{                                                                                                                          \
		(void)db;                                                                                                          \
		return SQLITE_OK;                                                                                                  \
	}

EXTENSION(sqlite3Fts3Init)
EXTENSION(sqlite3Fts5Init)
EXTENSION(sqlite3RtreeInit)
EXTENSION(sqlite3DbstatRegister)
EXTENSION(sqlite3StmtVtabInit)
EXTENSION(sqlite3JsonTableFunctions)

void sqlite3RegisterJsonFunctions(void)
{
}

void sqlite3RegisterDateTimeFunctions(void)
{
}

/* --- extensions in shared objects: a static program has none --- */

void sqlite3AutoLoadExtensions(sqlite3 *db)
{
	(void)db;
}

void sqlite3CloseExtensions(sqlite3 *db)
{
	(void)db;
}

void sqlite3_reset_auto_extension(void)
{
}

int sqlite3_load_extension(sqlite3 *db, const char *file, const char *entry, char **message)
{
	(void)db;
	(void)file;
	(void)entry;
	(void)message;
	return SQLITE_ERROR;
}

/* --- SQL's trigonometry; nothing else in the program has an angle --- */

#define ANGLE(name)                                                                                                                \
	double name(double x)                                                                                                      \
	{                                                                                                                          \
		(void)x;                                                                                                           \
		assert_failed(__FILE__, __LINE__, #name);                                                                          \
	}

ANGLE(acos)
ANGLE(acosh)
ANGLE(asin)
ANGLE(asinh)
ANGLE(atan)
ANGLE(atanh)
ANGLE(cos)
ANGLE(cosh)
ANGLE(sin)
ANGLE(sinh)
ANGLE(tan)
ANGLE(tanh)

double atan2(double y, double x)
{
	(void)y;
	(void)x;
	assert_failed(__FILE__, __LINE__, "atan2");
}
