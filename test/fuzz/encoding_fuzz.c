/*
 * encoding_fuzz.c
 *		The encoding of purchase histories without a server, for sanitizers.
 *
 * Random histories and changed ones are handed, each in a block of memory of
 * exactly its size, to the code that reads foreign bytes, and as if they had
 * been stored to the code that trusts what is stored: so reading one byte
 * beyond the end shows.  What is taken must be encoded the same again; what is
 * stored must give answers or an error.
 *
 *		encoding_fuzz [INPUTS [SEED]]
 *
 * Built by test/fuzz.sh, which links it with files of src/ and nothing of the
 * server: what they call of it is below, or is never reached.
 */
#include "postgres.h"

#include <setjmp.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "history_encoding.h"
#include "history_reader.h"

/* The server has its own. */
#undef fprintf
#undef printf
#undef qsort

#define LARGEST 1024
#define MOST_ENTRIES 40

/* ----------------------------------------------------------------
 * Instead of the server
 * ----------------------------------------------------------------
 */

extern void not_reached(void);

/* The linker is told that this is whatever else of the server is called. */
void
not_reached(void)
{
	abort();
}

MemoryContext CurrentMemoryContext = NULL;
volatile sig_atomic_t InterruptPending = false;

static void *blocks[4096];
static int	nblocks;
static jmp_buf on_error;

static void *
keep(void *block)
{
	if (block == NULL || nblocks == lengthof(blocks))
		abort();
	blocks[nblocks++] = block;
	return block;
}

static void
forget_all(void)
{
	while (nblocks > 0)
		free(blocks[--nblocks]);
}

/* Exactly as large as asked for, or the sanitizer has nothing to see. */
static void *
allocate(Size size)
{
	return keep(malloc(size));
}

void *
MemoryContextAllocHuge(MemoryContext context, Size size)
{
	return allocate(size);
}

void *
MemoryContextAlloc(MemoryContext context, Size size)
{
	return allocate(size);
}

void *
palloc(Size size)
{
	return allocate(size);
}

void *
repalloc_huge(void *pointer, Size size)
{
	for (int i = 0; i < nblocks; i++)
	{
		if (blocks[i] == pointer)
			return blocks[i] = realloc(pointer, size);
	}
	abort();
}

void
pfree(void *pointer)
{
	for (int i = 0; i < nblocks; i++)
	{
		if (blocks[i] == pointer)
		{
			free(pointer);
			blocks[i] = blocks[--nblocks];
			return;
		}
	}
	abort();
}

bool
errstart(int elevel, const char *domain)
{
	return true;
}

bool
errstart_cold(int elevel, const char *domain)
{
	return true;
}

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	longjmp(on_error, 1);
}

int
errcode(int sqlerrcode)
{
	return 0;
}

int
errmsg(const char *fmt,...)
{
	return 0;
}

int
errdetail(const char *fmt,...)
{
	return 0;
}

int
errhint(const char *fmt,...)
{
	return 0;
}

char *
psprintf(const char *fmt,...)
{
	return strcpy(allocate(1), "");
}

struct varlena *
pg_detoast_datum_packed(struct varlena *datum)
{
	return datum;
}

struct varlena *
pg_detoast_datum(struct varlena *datum)
{
	return datum;
}

/* Amounts are not looked into here. */
Numeric
int64_to_numeric(int64 value)
{
	return (Numeric) memcpy(allocate(sizeof(value)), &value, sizeof(value));
}

Numeric
int64_div_fast_to_numeric(int64 value, int log10_of_divisor)
{
	return int64_to_numeric(value);
}

Datum
numeric_add(PG_FUNCTION_ARGS)
{
	return PG_GETARG_DATUM(0);
}

Datum
DirectFunctionCall2Coll(PGFunction func, Oid collation, Datum arg1, Datum arg2)
{
	LOCAL_FCINFO(fcinfo, 2);

	InitFunctionCallInfoData(*fcinfo, NULL, 2, collation, NULL, NULL);
	fcinfo->args[0].value = arg1;
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = arg2;
	fcinfo->args[1].isnull = false;
	return (*func) (fcinfo);
}

/* ----------------------------------------------------------------
 * Inputs
 * ----------------------------------------------------------------
 */

static uint64 random_state;

static uint64
random_bits(void)
{
	uint64		z = (random_state += UINT64CONST(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int64
random_below(int64 n)
{
	return (int64) (random_bits() % (uint64) n);
}

static int
compare_entries(const void *a, const void *b)
{
	return history_entry_compare(a, b);
}

static int
random_entries(HistoryEntry *entries, int *scale)
{
	int			n = (int) random_below(random_below(4) == 0 ? MOST_ENTRIES : 8);
	int64		unit = history_unit_usecs[random_below(HISTORY_DAY + 1)];
	int64		span = (END_TIMESTAMP - 1) / unit - MIN_TIMESTAMP / unit;
	int64		start = MIN_TIMESTAMP / unit;
	int64		largest = random_below(3) == 0 ? PG_INT64_MAX : 1 + random_below(100000);

	if (random_below(4) > 0)
	{
		start = random_below(100) * USECS_PER_DAY / unit;
		span = 1 + random_below(1000);
	}
	*scale = (int) random_below(HISTORY_MAX_SCALE + 1);
	for (int i = 0; i < n; i++)
	{
		entries[i].at = Min((start + random_below(span)) * unit, END_TIMESTAMP - 1);
		entries[i].units = random_below(5) == 0 ? 0 : random_below(largest);
	}
	qsort(entries, n, sizeof(HistoryEntry), compare_entries);
	return n;
}

static void
mutate(uint8 *data, int *size)
{
	int			at = (int) random_below(*size + 1);
	int			more = 1 + (int) random_below(10);

	switch (random_below(6))
	{
		case 0:
			if (at < *size)
				data[at] ^= (uint8) (1 << random_below(8));
			break;
		case 1:
			if (at < *size)
				data[at] = (uint8) random_bits();
			break;
		case 2:
			at = (int) random_below(6);
			if (at < *size)
				data[at] = (uint8) random_below(random_below(2) == 0 ? 20 : 256);
			break;
		case 3:
			*size = at;
			break;
		case 4:
			if (*size + more > LARGEST)
				break;
			memmove(data + at + more, data + at, *size - at);
			for (int i = 0; i < more; i++)
				data[at + i] = (uint8) (random_bits() | (random_below(2) << 7));
			*size += more;
			break;
		case 5:
			more = Min(more, *size - at);
			memmove(data + at, data + at + more, *size - at - more);
			*size -= more;
			break;
	}
}

/* ----------------------------------------------------------------
 * What is done with them
 * ----------------------------------------------------------------
 */

static void
wrong(const char *what, const uint8 *data, int size)
{
	fprintf(stderr, "%s: ", what);
	for (int i = 0; i < size; i++)
		fprintf(stderr, "%02x", data[i]);
	fprintf(stderr, "\n");
	exit(1);
}

/* Stored bytes, with either kind of header. */
static PurchaseHistory *
stored(const uint8 *data, int size, bool short_header)
{
	char	   *block;

	if (short_header)
	{
		block = allocate(VARHDRSZ_SHORT + size);
		SET_VARSIZE_SHORT(block, VARHDRSZ_SHORT + size);
		memcpy(block + VARHDRSZ_SHORT, data, size);
	}
	else
	{
		block = allocate(VARHDRSZ + size);
		SET_VARSIZE(block, VARHDRSZ + size);
		memcpy(block + VARHDRSZ, data, size);
	}
	return (PurchaseHistory *) block;
}

extern Datum purchase_history_purchases(PG_FUNCTION_ARGS);
extern Datum purchase_history_spent(PG_FUNCTION_ARGS);
extern Datum purchase_history_first_purchase(PG_FUNCTION_ARGS);
extern Datum purchase_history_last_purchase(PG_FUNCTION_ARGS);
extern Datum purchase_history_last_amount(PG_FUNCTION_ARGS);
extern Datum purchase_history_bought(PG_FUNCTION_ARGS);
extern Datum purchase_history_spent_between(PG_FUNCTION_ARGS);

static const PGFunction questions[] = {
	purchase_history_purchases,
	purchase_history_spent,
	purchase_history_first_purchase,
	purchase_history_last_purchase,
	purchase_history_last_amount,
	purchase_history_bought,
	purchase_history_spent_between
};

static void
ask(PGFunction question, PurchaseHistory *h)
{
	LOCAL_FCINFO(fcinfo, 3);

	if (setjmp(on_error) != 0)
		return;
	InitFunctionCallInfoData(*fcinfo, NULL, 3, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = PointerGetDatum(h);
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = TimestampTzGetDatum(random_below(100) * USECS_PER_DAY);
	fcinfo->args[1].isnull = random_below(2) == 0;
	fcinfo->args[2].value = TimestampTzGetDatum(random_below(200) * USECS_PER_DAY);
	fcinfo->args[2].isnull = random_below(2) == 0;
	(void) question(fcinfo);
}

static void
read_stored(PurchaseHistory *h)
{
	HistoryReader reader;
	TimestampTz at;
	int64		units;

	for (int i = 0; i < (int) lengthof(questions); i++)
		ask(questions[i], h);

	/* Times and amounts, as the aggregates read them. */
	if (setjmp(on_error) == 0)
	{
		reader = history_read(h);
		while (history_reader_next(&reader, &at, &units))
			;
	}
	/* All of it, put together with itself. */
	if (setjmp(on_error) == 0)
	{
		HistoryBuilder *b = history_builder_create(NULL);

		history_builder_load(b, h);
		history_builder_load(b, h);
		(void) history_builder_finish(b);
	}
}

static bool
receive(const uint8 *data, int size)
{
	uint8	   *exact = memcpy(allocate(Max(size, 1)), data, size);
	PurchaseHistory *h;
	HistoryReader reader;
	HistoryEntry *entries;
	PurchaseHistory *again;

	/* Byte 1 of an allocation of nothing must not be read either. */
	if (size == 0)
		exact = allocate(0);
	if (setjmp(on_error) != 0)
		return false;
	h = history_from_bytes(exact, size);
	if ((int) (VARSIZE(h) - VARHDRSZ) != size || memcmp(VARDATA(h), data, size) != 0)
		wrong("taken for another history", data, size);
	if (setjmp(on_error) != 0)
		wrong("taken, but it cannot be read", data, size);
	reader = history_read(h);
	entries = allocate(Max(reader.count, 1) * sizeof(HistoryEntry));
	for (int64 i = 0; history_reader_next(&reader, &entries[i].at, &entries[i].units); i++)
		;
	again = history_encode(entries, reader.count, reader.scale);
	if (VARSIZE(again) != VARSIZE(h) || memcmp(again, h, VARSIZE(h)) != 0)
		wrong("taken, but not the one encoding", data, size);
	return true;
}

int
main(int argc, char **argv)
{
	long		inputs = argc > 1 ? atol(argv[1]) : 1000000;
	long		taken = 0;

	random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 42;
	for (long input = 0; input < inputs; input++)
	{
		HistoryEntry entries[MOST_ENTRIES];
		int			scale;
		int			n = random_entries(entries, &scale);
		PurchaseHistory *h = history_encode(entries, n, scale);
		uint8		data[LARGEST];
		int			size = VARSIZE(h) - VARHDRSZ;

		memcpy(data, VARDATA(h), size);
		if (!receive(data, size))
			wrong("refused what was encoded", data, size);
		for (int changes = 1 + (int) random_below(3); changes > 0; changes--)
			mutate(data, &size);
		taken += receive(data, size);
		read_stored(stored(data, size, size <= 100 && random_below(2) == 0));
		forget_all();
	}
	printf("encoding: %ld inputs, %ld taken\n", inputs, taken);
	return 0;
}
