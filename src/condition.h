/*
 * condition.h
 *		SQL conditions over customers: what audiences, tag rules and care rules
 *		choose by.
 */
#ifndef RETENTION_CONDITION_H
#define RETENTION_CONDITION_H

#include "postgres.h"

typedef struct Condition
{
	const char *text;
	const char *role;			/* who wrote it; NULL: it comes with the extension */
	const char *what;			/* what it belongs to, for errors: audience "old" */
	bool		of_purchase;	/* it may speak of an order, as purchase */
} Condition;

/*
 * An error that names the condition unless its text is one boolean expression
 * that its role may evaluate and that changes nothing.
 */
extern void condition_check(const Condition *condition);

/* The name of the role that calls, as whom a condition it writes is to run. */
extern const char *condition_writer(void);

#endif							/* RETENTION_CONDITION_H */
