/*
 * restricted.h
 *		Running SQL that is not ours: as the role it belongs to, read-only and
 *		as a security-restricted operation.
 */
#ifndef RETENTION_RESTRICTED_H
#define RETENTION_RESTRICTED_H

#include "postgres.h"

/* The state to return to. */
typedef struct RestrictedContext
{
	Oid			user;
	int			sec_context;
	bool		read_only;
	int			guc_level;
} RestrictedContext;

/* From here on, what is SET is undone by restricted_leave(). */
extern void restricted_save(RestrictedContext *saved);

/* Become the role; sec_flags are added to what restricts it anyway. */
extern void restricted_enter(Oid role, int sec_flags);
extern void restricted_leave(const RestrictedContext *saved);

/*
 * Failures that are no fault of that SQL, and that swallowing would only hide:
 * the whole transaction has to go.
 */
extern bool restricted_must_raise(const ErrorData *error);

/* Refuse text that is more, or less, than one expression. */
extern void restricted_check_expression(const char *expression);

/*
 * Do work, which enters by itself, in a subtransaction.  Returns NULL, or the
 * error, which the caller raises if restricted_must_raise().  What work
 * allocates in the caller's context stays.
 */
typedef void (*RestrictedWork) (void *arg);
extern ErrorData *restricted_run_guarded(RestrictedWork work, void *arg);

#endif							/* RETENTION_RESTRICTED_H */
