/*
 * retention.h
 *		What every file of the extension may need: the schema's name and the
 *		clock.
 */
#ifndef RETENTION_H
#define RETENTION_H

#include "postgres.h"

#include "datatype/timestamp.h"

#define RETENTION_SCHEMA "retention"

/* The moment that triggers take for "now". */
extern TimestampTz retention_clock_now(void);

/* Sets it to another moment, until the current GUC nest level ends. */
extern void retention_set_clock(TimestampTz at);

/* The oid of one of our own tables, by name; an error when it is missing. */
extern Oid	retention_relation(const char *name);

/* The owner of the extension's tables, as whom our own statements run. */
extern Oid	retention_owner(void);

/* The key, as text, of a customer given as a value of that type. */
extern Datum customer_key_of(Oid type, Datum value);

#endif							/* RETENTION_H */
