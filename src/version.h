/*
 * version.h
 *		Whether the library and the SQL objects it serves belong together.
 */
#ifndef RETENTION_VERSION_H
#define RETENTION_VERSION_H

#include "postgres.h"

/*
 * Between the installation of another library and ALTER EXTENSION UPDATE, or
 * in a session that began before them, the two differ.  They work together
 * when their versions agree but for the last number.
 */
extern bool versions_agree(void);	/* looked up once a transaction while true */
extern bool versions_agree_now(void);

/* An error unless they do, that names both versions and the way out. */
extern void versions_check(void);

/* What that error says, for who may not raise it. */
extern char *versions_message(void);

#endif							/* RETENTION_VERSION_H */
