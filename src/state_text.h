/*
 * state_text.h
 *		The text form of the states of aggregates: their bytes in hexadecimal.
 */
#ifndef RETENTION_STATE_TEXT_H
#define RETENTION_STATE_TEXT_H

#include "postgres.h"

#include "lib/stringinfo.h"

/* The text of a state, given as its flat form or as what its send function returns. */
extern char *state_text(Datum bytes);

/*
 * The bytes of a text, ended by a zero byte.  An error that names the type and
 * says by hint where its states come from when there are none.
 */
extern void state_bytes(StringInfo bytes, const char *text, const char *type, const char *hint);

#endif							/* RETENTION_STATE_TEXT_H */
