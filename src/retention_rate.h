/*
 * retention_rate.h
 *		What all forms of retention_rate() and retention_curve() have in common.
 */
#ifndef RETENTION_RETENTION_RATE_H
#define RETENTION_RETENTION_RATE_H

#include "postgres.h"

#include "history_counts.h"

typedef enum RetentionMode
{
	MODE_ALL,
	MODE_CLASSIC,
	MODE_ROLLING,
	MODE_WITHIN
} RetentionMode;

/* From argument mode on: the mode, something of days that is not read, time zone, moment. */
extern void retention_question(FunctionCallInfo fcinfo, CountsQuestion *question, int mode);

/* A number of days as an argument; numbers of days out of an integer[]. */
extern int32 retention_arg_days(FunctionCallInfo fcinfo, int n);
extern int32 *retention_days(Datum array, int *ndays);

/* The integer[] that a question has as text. */
extern Datum retention_question_days(const CountsQuestion *question);

/* A row of retention_curve(). */
extern void retention_row_add(CountsRows *rows, int32 days, int64 customers, int64 returned);

#endif							/* RETENTION_RETENTION_RATE_H */
