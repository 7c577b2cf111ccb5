/*
 * state_text.c
 *		The text form of the states of aggregates: their bytes in hexadecimal.
 */
#include "state_text.h"

#include "compat.h"

#include "fmgr.h"
#include "utils/builtins.h"

char *
state_text(Datum bytes)
{
	struct varlena *flat = PG_DETOAST_DATUM_PACKED(bytes);
	Size		size = VARSIZE_ANY_EXHDR(flat);
	char	   *text = (char *) palloc(size * 2 + 1);

	hex_encode(VARDATA_ANY(flat), size, text);
	text[size * 2] = '\0';
	return text;
}

void
state_bytes(StringInfo bytes, const char *text, const char *type, const char *hint)
{
	Size		length = strlen(text);

	initStringInfo(bytes);
	enlargeStringInfo(bytes, length / 2 + 1);
	bytes->len = hex_decode(text, length, bytes->data);
	bytes->data[bytes->len] = '\0';
	if (bytes->len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s: \"%s\"", type, text),
				 errhint("%s", hint)));
}
