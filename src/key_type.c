/*
 * key_type.c
 *		The type of the keys by which customers are told apart.
 */
#include "key_type.h"

#include "large_memory.h"

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#define FIRST_ARENA		512
#define LARGEST_ARENA	(1024 * 1024)
#define FIRST_ROW		((Size) 256)

void
key_type_init(KeyType *key, Oid type, Oid collation)
{
	TypeCacheEntry *typcache;

	type = getBaseType(type);
	typcache = lookup_type_cache(type, TYPECACHE_HASH_PROC_FINFO | TYPECACHE_EQ_OPR_FINFO);
	if (!OidIsValid(typcache->hash_proc_finfo.fn_oid) ||
		!OidIsValid(typcache->eq_opr_finfo.fn_oid) ||
		typcache->typlen == -2)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("customers of type %s cannot be told apart", format_type_be(type)),
				 errdetail("The type has no default hash operator class."),
				 errhint("Cast the customer to a type such as text or bigint.")));

	key->type = type;
	key->collation = InvalidOid;
	key->typlen = typcache->typlen;
	key->typbyval = typcache->typbyval;
	key->typcache = typcache;

	switch (typcache->eq_opr_finfo.fn_oid)
	{
		case F_BOOLEQ:
		case F_CHAREQ:
		case F_INT2EQ:
		case F_INT4EQ:
		case F_INT8EQ:
		case F_OIDEQ:
		case F_DATE_EQ:
		case F_TIMESTAMP_EQ:
		case F_TIMESTAMPTZ_EQ:
		case F_ENUM_EQ:
			key->kind = key->typbyval ? KEY_WORD : KEY_TYPED;
			break;
		case F_UUID_EQ:
		case F_BYTEAEQ:
			key->kind = KEY_BYTES;
			break;
		case F_TEXTEQ:
			if (!OidIsValid(collation))
				ereport(ERROR,
						(errcode(ERRCODE_INDETERMINATE_COLLATION),
						 errmsg("could not determine which collation to use for the customer"),
						 errhint("Use the COLLATE clause to set the collation explicitly.")));
			key->kind = get_collation_isdeterministic(collation) ? KEY_BYTES : KEY_TYPED;
			break;
		default:
			key->kind = KEY_TYPED;
			break;
	}
	if (key->kind == KEY_TYPED && type_is_collatable(type))
		key->collation = collation;
}

void
key_type_read_argument(KeyType *key, FunctionCallInfo fcinfo, int argno)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, argno);

	if (!OidIsValid(type))
		elog(ERROR, "could not determine the type of the customer");
	key_type_init(key, type, PG_GET_COLLATION());
}

const KeyType *
key_type_of_argument(FunctionCallInfo fcinfo, int argno)
{
	KeyType    *key = (KeyType *) fcinfo->flinfo->fn_extra;

	if (key == NULL)
	{
		key = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(KeyType));
		key_type_read_argument(key, fcinfo, argno);
		fcinfo->flinfo->fn_extra = key;
	}
	return key;
}

static char *
key_type_name(const KeyType *key)
{
	if (OidIsValid(key->collation))
		return psprintf("%s COLLATE %s", format_type_be(key->type),
						quote_identifier(get_collation_name(key->collation)));
	return format_type_be(key->type);
}

/*
 * Keys of one type compared by another's functions would be read as what they
 * are not; any role may make an aggregate that starts with a state of its own.
 */
void
key_type_check(const KeyType *key, const KeyType *other)
{
	if (key->type != other->type || key->collation != other->collation)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cannot merge customers of type %s with customers of type %s",
						key_type_name(key), key_type_name(other)),
				 errhint("Cast the customer to the same type wherever states are made.")));
}

/* ----------------------------------------------------------------------
 * Keeping keys, and passing them between processes
 * ----------------------------------------------------------------------
 */

/*
 * Keys are packed: those with a short header need no alignment.
 */
Datum
key_keep(const KeyType *key, KeyArena *arena, Datum value)
{
	char	   *source = DatumGetPointer(value);
	char	   *target;
	Size		size;
	bool		shorten = false;
	Size		pad = 0;

	if (key->typbyval)
		return value;

	if (key->typlen != -1)
		size = key->typlen;
	else if (VARATT_IS_SHORT(source))
		size = VARSIZE_SHORT(source);
	else if (key->kind == KEY_BYTES && VARATT_CAN_MAKE_SHORT(source))
	{
		size = VARATT_CONVERTED_SHORT_SIZE(source);
		shorten = true;
	}
	else
		size = VARSIZE(source);

	if (key->typlen != -1 || !(shorten || VARATT_IS_SHORT(source)))
		pad = (char *) MAXALIGN(arena->next) - arena->next;

	if (size > LARGEST_ARENA / 8)
	{
		target = MemoryContextAllocHuge(arena->context, size);
		memcpy(target, source, size);
		return PointerGetDatum(target);
	}

	if (arena->left < size + pad)
	{
		arena->size = Min(Max(arena->size * 2, FIRST_ARENA), LARGEST_ARENA);
		while (arena->size < size)
			arena->size *= 2;
		arena->next = MemoryContextAlloc(arena->context, arena->size);
		arena->left = arena->size;
		pad = 0;
	}
	target = arena->next + pad;
	arena->next += size + pad;
	arena->left -= size + pad;

	if (shorten)
	{
		SET_VARSIZE_SHORT(target, size);
		memcpy(VARDATA_SHORT(target), VARDATA(source), size - VARHDRSZ_SHORT);
	}
	else
		memcpy(target, source, size);
	return PointerGetDatum(target);
}

Size
key_row_add(const KeyType *key, Size size, Datum value)
{
	if (key->kind == KEY_WORD)
		return size + key_word_width(key);
	if (key->typbyval)
		return size + sizeof(Datum);
	size = att_align_datum(size, TYPALIGN_DOUBLE, key->typlen, value);
	return att_addlength_datum(size, key->typlen, value);
}

Size
key_row_put(const KeyType *key, char *row, Size offset, Datum value)
{
	Size		end;

	if (key->kind == KEY_WORD && key_word_width(key) == 4)
	{
		uint32		word = (uint32) value;

		memcpy(row + offset, &word, sizeof(word));
		return offset + sizeof(word);
	}
	if (key->typbyval)
	{
		memcpy(row + offset, &value, sizeof(Datum));
		return offset + sizeof(Datum);
	}

	/* What lies between is zero, which tells a long header from padding. */
	end = att_align_datum(offset, TYPALIGN_DOUBLE, key->typlen, value);
	memset(row + offset, 0, end - offset);
	offset = end;
	end = att_addlength_datum(offset, key->typlen, value);
	memcpy(row + offset, DatumGetPointer(value), end - offset);
	return end;
}

/* Room for so many bytes in all. */
void
key_row_reserve(KeyRow *row, Size size)
{
	char	   *bytes;
	void	   *memory;

	if (size <= row->size)
		return;
	size = Max(Max(size, row->size * 2), FIRST_ROW);
	bytes = (char *) large_alloc(row->context, size, &memory);
	if (row->memory != NULL)
	{
		memcpy(bytes, row->bytes, row->used);
		pfree(row->memory);
	}
	row->bytes = bytes;
	row->size = size;
	row->memory = memory;
}

void
key_row_append(KeyRow *row, const KeyType *key, Datum value)
{
	Size		used = key_row_add(key, row->used, value);

	if (unlikely(used > row->size))
		key_row_reserve(row, used);
	row->used = key_row_put(key, row->bytes, row->used, value);
}

const char *
key_row_next(const KeyType *key, const char *cursor, Datum *value)
{
	if (key->kind == KEY_WORD && key_word_width(key) == 4)
	{
		uint32		word;

		memcpy(&word, cursor, sizeof(word));
		*value = (Datum) word;
		return cursor + sizeof(word);
	}
	if (key->typbyval)
	{
		memcpy(value, cursor, sizeof(Datum));
		return cursor + sizeof(Datum);
	}
	cursor = (const char *) att_align_pointer(cursor, TYPALIGN_DOUBLE, key->typlen, cursor);
	*value = PointerGetDatum(cursor);
	return att_addlength_pointer(cursor, key->typlen, cursor);
}

void
key_refuse_size(int64 keys)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a set of " INT64_FORMAT " customers is too large to be passed between processes",
					keys),
			 errdetail("It would need 1 GB or more."),
			 errhint("Set max_parallel_workers_per_gather to 0, or count smaller groups.")));
}

/* ----------------------------------------------------------------------
 * External form
 * ----------------------------------------------------------------------
 */

void
key_refuse_external(const char *state, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid external %s value", state),
			 errdetail_internal("%s", detail)));
}

/*
 * Names and not oids, so that it can be read in another database.
 */
void
key_send_begin(KeyIO *io, StringInfo buf, const KeyType *key)
{
	const char *collation = "";
	Oid			send;
	bool		is_varlena;

	io->key = key;
	getTypeBinaryOutputInfo(key->type, &send, &is_varlena);
	fmgr_info(send, &io->function);

	if (OidIsValid(key->collation))
	{
		HeapTuple	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(key->collation));
		Form_pg_collation form;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for collation %u", key->collation);
		form = (Form_pg_collation) GETSTRUCT(tuple);
		collation = quote_qualified_identifier(get_namespace_name(form->collnamespace),
											   NameStr(form->collname));
		ReleaseSysCache(tuple);
	}
	pq_sendstring(buf, format_type_extended(key->type, -1, FORMAT_TYPE_FORCE_QUALIFY));
	pq_sendstring(buf, collation);
}

void
key_send(KeyIO *io, StringInfo buf, Datum value)
{
	bytea	   *bytes = SendFunctionCall(&io->function, value);
	int			len = VARSIZE_ANY_EXHDR(bytes);

	pq_sendint32(buf, len);
	pq_sendbytes(buf, VARDATA_ANY(bytes), len);
	pfree(bytes);
}

/* What could be read as an oid is none of our names. */
static const char *
get_name(StringInfo buf, const char *state)
{
	const char *name = pq_getmsgstring(buf);

	if (name[0] >= '0' && name[0] <= '9')
		key_refuse_external(state, "A name is a number.");
	return name;
}

void
key_receive_begin(KeyIO *io, StringInfo buf, KeyType *key, const char *state)
{
	const char *name;
	Oid			type;
	Oid			collation = C_COLLATION_OID;
	Oid			receive;
	bool		has_collation;

	name = get_name(buf, state);
	type = DatumGetObjectId(DirectFunctionCall1(regtypein, CStringGetDatum(name)));
	if (!OidIsValid(type) || get_typtype(type) == TYPTYPE_PSEUDO)
		key_refuse_external(state, "The type of the customers is not a type of values.");
	name = get_name(buf, state);
	has_collation = (name[0] != '\0');
	if (has_collation)
		collation = DatumGetObjectId(DirectFunctionCall1(regcollationin, CStringGetDatum(name)));
	if (!OidIsValid(collation))
		key_refuse_external(state, "The collation does not exist.");
	key_type_init(key, type, collation);
	if (key->type != type)
		key_refuse_external(state, "The type of the customers is a domain.");
	if (has_collation && key->collation != collation)
		key_refuse_external(state, "The type of the customers takes no collation.");

	io->key = key;
	io->state = state;
	getTypeBinaryInputInfo(key->type, &receive, &io->typioparam);
	fmgr_info(receive, &io->function);
}

Datum
key_receive(KeyIO *io, StringInfo buf)
{
	int			len = pq_getmsgint(buf, 4);
	StringInfoData item;
	Datum		value;
	char		saved;

	if (len < 0 || len > buf->len - buf->cursor)
		key_refuse_external(io->state, "A customer ends beyond the end.");

	/* Receive functions expect a terminated buffer, as record_recv gives. */
	item.data = buf->data + buf->cursor;
	item.len = len;
	item.maxlen = len + 1;
	item.cursor = 0;
	buf->cursor += len;
	saved = buf->data[buf->cursor];
	buf->data[buf->cursor] = '\0';
	value = ReceiveFunctionCall(&io->function, &item, io->typioparam, -1);
	buf->data[buf->cursor] = saved;
	if (item.cursor != len)
		key_refuse_external(io->state, "A customer is longer than its type.");
	return value;
}
