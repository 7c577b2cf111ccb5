/*
 * history_fuzz.c
 *		Hostile bytes for whatever reads them: the receive functions of
 *		purchase_history and of the states of aggregates, and the text input of
 *		purchase_history.
 *
 * Valid values are changed at random and sent as binary parameters.  Each is
 * refused with an error that says so, or it is a value: then it comes out as
 * it went in, by bytes and by text, and every function has an answer for it.
 * What must not happen is a crash, an internal error, or a wait without end.
 *
 *		history_fuzz [INPUTS [SEED ["connection string"]]]
 *
 * INPUTS are the binary histories, HISTORY_FUZZ_INPUTS or 1,000,000 without
 * an argument; of the others there is a tenth each.  The database needs the
 * extension, and is left as it was found.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libpq-fe.h"

#define ROUND 500				/* inputs sent before their results are read */
#define LARGEST 8192			/* bytes of an input */
#define SAMPLES 64

typedef struct Bytes
{
	int			size;
	char	   *data;
} Bytes;

/* One way in. */
typedef struct Target
{
	const char *name;
	const char *type;
	int			format;			/* 1: binary, 0: text */
	int			share;			/* one input for so many histories */
	const char *samples;		/* query for valid values, as bytea or text */
	const char *check;			/* $1 the value, $2 its bytes: is all well? */
	int			nsamples;
	Bytes		sample[SAMPLES];
	long		sent;
	long		taken;
	long		stopped;		/* by statement_timeout */
} Target;

#define HISTORIES \
	"WITH h AS (SELECT i, (SELECT retention.purchase_history(timestamptz '2020-01-01 00:00+08' + j * j * i * interval '7919 seconds', (i * j % 977) / 100.0)" \
	" FROM generate_series(1, i % 9 + 1) AS j) AS history FROM generate_series(1, 40) AS i) "

/*
 * For a value in $1 and its bytes in $2 (NULL when it came as text).  Far from
 * the present a matrix has more cells than anyone waits for.
 */
#define HISTORY_CHECK \
	"SELECT retention.purchase_history_send($1) = b.bytes" \
	" AND $1::text::retention.purchase_history OPERATOR(retention.=) $1" \
	" AND retention.purchase_history_cmp($1, b.bytes::retention.purchase_history) = 0" \
	" AND retention.purchase_history_hash($1) = retention.purchase_history_hash(b.bytes::retention.purchase_history)" \
	" AND e.again OPERATOR(retention.=) $1 AND e.n = retention.purchases($1) AND e.spent = retention.spent($1)" \
	" AND e.first IS NOT DISTINCT FROM retention.first_purchase($1) AND e.last IS NOT DISTINCT FROM retention.last_purchase($1)" \
	" AND (retention.last_amount($1) IS NULL) = (e.n = 0)" \
	" AND e.n = retention.bought($1, NULL, e.last) + retention.bought($1, e.last, NULL)" \
	" AND e.spent = retention.spent_between($1, NULL, e.last) + retention.spent_between($1, e.last, NULL)" \
	" AND coalesce(retention.usual_interval($1) >= '0', true)" \
	" AND retention.remove(retention.append($1, '2024-02-29 12:34:56', 0), '2024-02-29 12:34:56', 0) OPERATOR(retention.=) $1" \
	" AND retention.purchases($1 OPERATOR(retention.||) $1) = 2 * e.n" \
	" AND (SELECT count(*) = 1 FROM (SELECT" \
	"   retention.cohort_matrix(h.history, 'month', 'Asia/Shanghai', '2024-05-05') FILTER (WHERE h.recent)," \
	"   retention.new_vs_returning(h.history, 'week from sunday', 'Europe/London', '2024-05-05') FILTER (WHERE h.recent)," \
	"   retention.next_period_rates(h.history, 'quarter', 2, 'UTC', '2024-05-05')," \
	"   retention.repurchase_rates(h.history, 'day', 'America/St_Johns', '2024-05-05')," \
	"   retention.magic_number(h.history, '30 days', '2024-05-05')," \
	"   retention.retention_rate(h.history, 'within', 30, 'UTC', '2024-05-05')," \
	"   retention.purchase_gaps(h.history, NULL, '{0.5}', '2024-05-05')," \
	"   retention.pareto_share(h.history, 0.2, '2024-05-05')" \
	"   FROM (SELECT $1 AS history, retention.first_purchase($1) >= '1990-01-01' AS recent OFFSET 0) AS h OFFSET 0) AS answers)" \
	" FROM (SELECT coalesce($2, retention.purchase_history_send($1)) AS bytes) AS b," \
	"   (SELECT coalesce(retention.purchase_history(paid_at, amount), '{}') AS again, count(*) AS n, coalesce(sum(amount), 0) AS spent," \
	"   min(paid_at) AS first, max(paid_at) AS last FROM retention.entries($1)) AS e"

static Target targets[] = {
	{
		.name = "purchase_history",
		.type = "retention.purchase_history",
		.format = 1,
		.share = 1,
		.samples =
		HISTORIES "SELECT retention.purchase_history_send(history) FROM h UNION ALL "
		"SELECT retention.purchase_history_send(t::retention.purchase_history) FROM unnest(ARRAY['{}', '{2024-01-01=5}',"
		"'{2024-01-01=5, 2024-01-01=5, 2024-01-01=7.25}', '{1970-01-01 00:00:00.000001=0.000000000000000001, 2099-12-31=9}',"
		"'{4714-11-24 BC=0, 294276-12-31 23:59:59.999999=9223372036854775807}']) AS t UNION ALL "
		"SELECT retention.purchase_history_send(retention.merge(history)) FROM h",
		.check = HISTORY_CHECK
	},
	{
		.name = "purchase_history as text",
		.type = "retention.purchase_history",
		.format = 0,
		.share = 10,
		.samples =
		HISTORIES "SELECT history::text FROM h UNION ALL "
		"SELECT unnest(ARRAY['{}', ' { 2024-01-01T10:00Z=1.5 , 0044-03-15 BC=1e3 } ', '{2024-02-29 23:59:59.999999-15:59:59=0}'])",
		.check = HISTORY_CHECK
	},
	{
		.name = "history_counts",
		.type = "retention.history_counts",
		.format = 1,
		.share = 10,
		.samples =
		HISTORIES "SELECT retention.history_counts_send(s) FROM (SELECT ARRAY["
		"retention.cohort_collect(history, 'month', 'Asia/Shanghai', '2024-05-05'),"
		"retention.new_vs_returning_collect(history, 'week', 'UTC', '2024-05-05'),"
		"retention.next_period_collect(history, 'quarter', 1, 'UTC', '2024-05-05'),"
		"retention.repurchase_rates_collect(history, 'year', 'Europe/London', '2024-05-05'),"
		"retention.x_order_collect(history, '30 days', '2024-05-05'),"
		"retention.retention_collect(history, 'UTC', '2024-05-05'),"
		"retention.purchase_gaps_collect(history, NULL, '{0.25,0.5}', '2024-05-05'),"
		"retention.pareto_collect(history, 0.2, '2024-05-05'),"
		"retention.order_funnel_collect('2024-01-01', '2024-01-01', NULL, NULL, NULL, NULL)] AS states FROM h GROUP BY i % 4) AS x, unnest(states) AS s",
		.check =
		"SELECT retention.history_counts_send($1) = $2 AND $1::text::retention.history_counts::text = $1::text"
		" AND (SELECT retention.merge(s) IS NOT NULL FROM (VALUES ($1), ($1)) AS v (s))"
		" AND CASE get_byte($2, 1)"
		"   WHEN 1 THEN retention.cohort_matrix($1) IS NOT NULL"
		"   WHEN 2 THEN retention.new_vs_returning($1) IS NOT NULL"
		"   WHEN 3 THEN retention.next_period_rates($1) IS NOT NULL AND coalesce(retention.next_period_rate($1, '2020-05-05') >= 0, true)"
		"   WHEN 4 THEN retention.repurchase_rates($1) IS NOT NULL"
		"   WHEN 5 THEN retention.x_order_rates($1) IS NOT NULL AND coalesce(retention.magic_number($1) > 0, true)"
		"   WHEN 6 THEN retention.retention_curve($1, 'rolling', '{0,1,7}') IS NOT NULL"
		"   WHEN 7 THEN retention.purchase_gaps($1) IS NOT NULL"
		"   WHEN 8 THEN coalesce(retention.pareto_share($1) BETWEEN 0 AND 1, true)"
		"   ELSE retention.order_funnel($1) IS NOT NULL END"
	},
	{
		.name = "repurchase_state",
		.type = "retention.repurchase_state",
		.format = 1,
		.share = 10,
		.samples =
		"SELECT retention.repurchase_state_send(s) FROM (SELECT ARRAY["
		"retention.repurchase_collect(i), retention.repurchase_collect(i::bigint), retention.repurchase_collect(i::text),"
		"retention.repurchase_collect(md5(i::text)::uuid), retention.repurchase_collect(i / 3.0), retention.repurchase_collect(date '2024-01-01' + i),"
		"retention.repurchase_collect(ARRAY[i::text, 'x']), retention.repurchase_collect(int4range(i, i + 5))] AS states"
		" FROM generate_series(1, 40) AS n, LATERAL (SELECT n % 17 AS i) AS m GROUP BY n % 5) AS x, unnest(states) AS s",
		.check =
		/* A set of customers comes out in any order. */
		"SELECT length(retention.repurchase_state_send($1)) = length(retention.repurchase_state_send($1::text::retention.repurchase_state))"
		" AND retention.repurchase_rate($1::text::retention.repurchase_state) IS NOT DISTINCT FROM retention.repurchase_rate($1)"
		" AND coalesce(retention.repurchase_rate($1) BETWEEN 0 AND 1, true)"
		" AND (SELECT coalesce(retention.repurchase_rate(retention.merge(s)) = 1, true) FROM (VALUES ($1), ($1)) AS v (s)) AND $2 IS NOT NULL"
	},
	{
		.name = "rfm_totals",
		.type = "retention.rfm_totals",
		.format = 1,
		.share = 10,
		.samples =
		HISTORIES "SELECT retention.rfm_totals_send(retention.rfm_collect(history, '2024-05-05')) FROM h GROUP BY i % 9",
		.check =
		"SELECT retention.rfm_totals_send($1) = $2 AND $1::text::retention.rfm_totals::text = $1::text"
		" AND retention.rfm_matrix($1) IS NOT NULL"
		" AND (SELECT retention.merge(s) IS NOT NULL FROM (VALUES ($1), ($1)) AS v (s))"
	},
	{
		.name = "rfm_orders",
		.type = "retention.rfm_orders",
		.format = 1,
		.share = 10,
		.samples =
		"SELECT retention.rfm_orders_send(s) FROM (SELECT ARRAY["
		"retention.rfm_collect(i, t, a), retention.rfm_collect(i::bigint, t, a), retention.rfm_collect(i::text, t, a),"
		"retention.rfm_collect(md5(i::text)::uuid, t, a), retention.rfm_collect(i / 3.0, t, a)] AS states"
		" FROM generate_series(1, 40) AS n,"
		" LATERAL (SELECT n % 17 AS i, timestamptz '2024-01-01 00:00+00' + n * interval '1 hour' AS t, n / 4.0 AS a) AS m"
		" GROUP BY n % 5) AS x, unnest(states) AS s",
		.check =
		"SELECT length(retention.rfm_orders_send($1)) = length(retention.rfm_orders_send($1::text::retention.rfm_orders))"
		" AND retention.rfm_matrix($1::text::retention.rfm_orders) = retention.rfm_matrix($1)"
		" AND (SELECT retention.merge(s) IS NOT NULL FROM (VALUES ($1)) AS v (s)) AND $2 IS NOT NULL"
	},
	{
		.name = "retention_logins",
		.type = "retention.retention_logins",
		.format = 1,
		.share = 10,
		.samples =
		"SELECT retention.retention_logins_send(s) FROM (SELECT ARRAY["
		"retention.retention_collect(i, t, l, 'classic', '{1,3,7,30}', 'UTC', '2024-05-05'),"
		"retention.retention_collect(i::bigint, t, l, 'rolling', '{0}', 'Asia/Shanghai', '2024-05-05'),"
		"retention.retention_collect(i::text, t, l, 'within', '{7,1}', 'Europe/London', '2024-05-05'),"
		"retention.retention_collect(md5(i::text)::uuid, t, l, 'within', '{}', 'UTC', '2024-05-05'),"
		"retention.retention_collect(i / 3.0, t, l, 'classic', '{2}', 'UTC', '2024-05-05')] AS states"
		" FROM generate_series(1, 40) AS n,"
		" LATERAL (SELECT n % 17 AS i, timestamptz '2024-01-01 00:00+00' + n % 17 * interval '7 hours' AS t,"
		" timestamptz '2024-01-01 00:00+00' + n * interval '9 hours' AS l) AS m GROUP BY n % 5) AS x, unnest(states) AS s",
		.check =
		"SELECT length(retention.retention_logins_send($1)) = length(retention.retention_logins_send($1::text::retention.retention_logins))"
		" AND retention.retention_curve($1::text::retention.retention_logins) = retention.retention_curve($1)"
		" AND (SELECT retention.retention_curve(retention.merge(s)) = retention.retention_curve($1) FROM (VALUES ($1), ($1)) AS v (s))"
		" AND (SELECT coalesce(bool_and(rate BETWEEN 0 AND 1), true) FROM unnest(retention.retention_curve($1))) AND $2 IS NOT NULL"
	},
};

#define NTARGETS ((int) (sizeof(targets) / sizeof(targets[0])))

static PGconn *conn;

static uint64_t random_state;

/* SplitMix64: the same inputs for the same seed, anywhere. */
static uint64_t
random_bits(void)
{
	uint64_t	z = (random_state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int
random_below(int n)
{
	return (int) (random_bits() % (uint64_t) n);
}

/* ----------------------------------------------------------------
 * Changing bytes
 * ----------------------------------------------------------------
 */

static const int64_t corners[] = {
	0, 1, -1, 2, 127, 128, 255, 256, 32767, 65536, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN,
	INT64_C(1000000000000000000), INT64_C(9223371331200000000), INT64_C(-211813488000000000)
};

static int64_t
random_corner(void)
{
	int64_t		corner = corners[random_below(sizeof(corners) / sizeof(corners[0]))];

	return random_below(4) == 0 ? corner + random_below(3) - 1 : corner;
}

/* Make room for, or take away, so many bytes; false when they do not fit. */
static int
move_tail(char *data, int *size, int at, int by)
{
	if (*size + by > LARGEST || (by < 0 && at - by > *size))
		return 0;
	if (by < 0)
		memmove(data + at, data + at - by, *size - at + by);
	else
		memmove(data + at + by, data + at, *size - at);
	*size += by;
	return 1;
}

static void
mutate(const Target *target, char *data, int *size)
{
	int			at = random_below(*size + 1);
	int			length;
	int64_t		value;
	char		bytes[10];

	switch (random_below(10))
	{
		case 0:					/* a bit */
			if (at < *size)
				data[at] ^= (char) (1 << random_below(8));
			break;
		case 1:					/* a byte */
			if (at < *size)
				data[at] = (char) random_bits();
			break;
		case 2:					/* one of the first bytes, which say most */
			at = random_below(*size < 8 ? *size + 1 : 8);
			if (at < *size)
				data[at] = (char) (random_below(2) == 0 ? random_below(20) : random_below(256));
			break;
		case 3:					/* more bytes */
			length = 1 + random_below(10);
			if (move_tail(data, size, at, length))
			{
				for (int i = 0; i < length; i++)
					data[at + i] = (char) random_bits();
			}
			break;
		case 4:					/* fewer */
			move_tail(data, size, at, -(1 + random_below(8)));
			break;
		case 5:					/* an end too early */
			*size = at;
			break;
		case 6:					/* a varint with a number at a limit */
			value = random_corner();
			length = 0;
			for (uint64_t rest = (uint64_t) value;; rest >>= 7)
			{
				bytes[length++] = (char) (rest < 0x80 ? rest : (rest | 0x80));
				if (rest < 0x80)
					break;
			}
			if (random_below(2) == 0 && at < *size)
				move_tail(data, size, at, -1);
			if (move_tail(data, size, at, length))
				memcpy(data + at, bytes, length);
			break;
		case 7:					/* the same in network order, 4 or 8 bytes */
			value = random_corner();
			length = random_below(2) == 0 ? 4 : 8;
			if (at + length <= *size)
			{
				for (int i = 0; i < length; i++)
					data[at + i] = (char) ((uint64_t) value >> (8 * (length - 1 - i)));
			}
			break;
		case 8:					/* a part twice */
			length = 1 + random_below(64);
			if (at + length <= *size && move_tail(data, size, at, length))
				memmove(data + at, data + at + length, length);
			break;
		case 9:					/* the rest of another */
			{
				const Bytes *other = &target->sample[random_below(target->nsamples)];
				int			from = random_below(other->size + 1);

				length = other->size - from;
				if (at + length <= LARGEST)
				{
					memcpy(data + at, other->data + from, length);
					*size = at + length;
				}
			}
			break;
	}
}

static int
hostile(const Target *target, char *data)
{
	const Bytes *sample = &target->sample[random_below(target->nsamples)];
	int			size = sample->size;

	memcpy(data, sample->data, size);
	for (int changes = 1 + random_below(4); changes > 0; changes--)
		mutate(target, data, &size);
	if (target->format == 0)
	{
		/* Text ends at a zero byte. */
		data[size] = '\0';
		size = (int) strlen(data);
	}
	return size;
}

/* ----------------------------------------------------------------
 * Sending them
 * ----------------------------------------------------------------
 */

static void
give_up(const char *what)
{
	fprintf(stderr, "%s\n%s", what, PQerrorMessage(conn));
	exit(2);
}

static PGresult *
run_or_exit(const char *sql)
{
	PGresult   *result = PQexecParams(conn, sql, 0, NULL, NULL, NULL, NULL, 1);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		give_up(sql);
	return result;
}

static void
prepare(Target *target)
{
	PGresult   *result = run_or_exit(target->samples);
	char		sql[128];
	Oid			types[2] = {0, 17};	/* the second is bytea */

	for (int i = 0; i < PQntuples(result) && target->nsamples < SAMPLES; i++)
	{
		Bytes	   *sample = &target->sample[target->nsamples];

		sample->size = PQgetlength(result, i, 0);
		if (sample->size > LARGEST)
			continue;
		sample->data = malloc(sample->size + 1);
		memcpy(sample->data, PQgetvalue(result, i, 0), sample->size);
		target->nsamples++;
	}
	PQclear(result);

	snprintf(sql, sizeof(sql), "SELECT '%s'::regtype::oid::text", target->type);
	result = run_or_exit(sql);
	types[0] = (Oid) strtoul(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	result = PQprepare(conn, target->name, target->check, 2, types);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		give_up(target->check);
	PQclear(result);
}

/*
 * Whether an error is one that bad input may have: data, names of types and
 * collations, protocol, size, and time.
 */
static int
may_be(const char *sqlstate)
{
	return sqlstate != NULL &&
		(strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "42", 2) == 0 ||
		 strcmp(sqlstate, "3F000") == 0 || strcmp(sqlstate, "0A000") == 0 ||
		 strcmp(sqlstate, "08P01") == 0 || strcmp(sqlstate, "54000") == 0 ||
		 strcmp(sqlstate, "57014") == 0);
}

static void
show_input(const Target *target, const Bytes *input)
{
	fprintf(stderr, "%s: ", target->name);
	for (int i = 0; i < input->size; i++)
		fprintf(stderr, "%02x", (unsigned char) input->data[i]);
	fprintf(stderr, "\n");
}

/* Sends so many inputs and looks at what comes back; returns what went wrong. */
static long
play_round(Target *target, int inputs, Bytes *input)
{
	long		wrong = 0;

	for (int i = 0; i < inputs; i++)
	{
		const char *values[2];
		int			lengths[2];
		int			formats[2] = {target->format, 1};

		input[i].size = hostile(target, input[i].data);
		values[0] = input[i].data;
		values[1] = target->format == 1 ? input[i].data : NULL;
		lengths[0] = lengths[1] = input[i].size;
		if (!PQsendQueryPrepared(conn, target->name, 2, values, lengths, formats, 1) ||
			!PQpipelineSync(conn))
			give_up("could not send");
	}
	target->sent += inputs;

	for (int i = 0; i < inputs; i++)
	{
		PGresult   *result = PQgetResult(conn);
		const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

		if (PQresultStatus(result) == PGRES_TUPLES_OK)
		{
			target->taken++;
			if (PQgetisnull(result, 0, 0) || PQgetvalue(result, 0, 0)[0] != 1)
			{
				fprintf(stderr, "taken, but something does not hold\n");
				show_input(target, &input[i]);
				wrong++;
			}
		}
		else if (sqlstate == NULL || PQstatus(conn) != CONNECTION_OK)
		{
			show_input(target, &input[i]);
			give_up("the connection was lost at this input");
		}
		else if (!may_be(sqlstate))
		{
			fprintf(stderr, "%s", PQresultErrorMessage(result));
			show_input(target, &input[i]);
			wrong++;
		}
		else if (strcmp(sqlstate, "57014") == 0)
			target->stopped++;
		PQclear(result);
		if (PQgetResult(conn) != NULL)
			give_up("more results than asked for");

		/* The statement may be stopped when its work is done, at the sync. */
		for (int tries = 0; tries < 4; tries++)
		{
			result = PQgetResult(conn);
			if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
				break;
			sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
			if (sqlstate != NULL && strcmp(sqlstate, "57014") == 0)
				target->stopped++;
			else if (result != NULL)
				break;
			PQclear(result);
			result = NULL;
		}
		if (PQresultStatus(result) != PGRES_PIPELINE_SYNC)
			give_up("out of step");
		PQclear(result);
	}
	return wrong;
}

int
main(int argc, char **argv)
{
	const char *setting = getenv("HISTORY_FUZZ_INPUTS");
	long		inputs = argc > 1 ? atol(argv[1]) : setting != NULL ? atol(setting) : 1000000;
	long		wrong = 0;
	Bytes		input[ROUND];

	random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 42;
	conn = PQconnectdb(argc > 3 ? argv[3] : "");
	if (PQstatus(conn) != CONNECTION_OK)
		give_up("could not connect");
	PQclear(run_or_exit("SET client_min_messages = error"));
	PQclear(run_or_exit("SET log_min_messages = panic"));
	PQclear(run_or_exit("SET log_min_error_statement = panic"));
	PQclear(run_or_exit("SET TimeZone = 'UTC'"));
	PQclear(run_or_exit("SET jit = off"));
	PQclear(run_or_exit("SET max_parallel_workers_per_gather = 0"));
	PQclear(run_or_exit("SET statement_timeout = '5s'"));
	for (int t = 0; t < NTARGETS; t++)
		prepare(&targets[t]);
	for (int i = 0; i < ROUND; i++)
		input[i].data = malloc(LARGEST + 1);
	if (!PQenterPipelineMode(conn))
		give_up("no pipeline mode");

	for (int t = 0; t < NTARGETS; t++)
	{
		Target	   *target = &targets[t];
		long		left = inputs / target->share;

		for (; left > 0; left -= ROUND)
			wrong += play_round(target, left < ROUND ? (int) left : ROUND, input);
		printf("%s: %ld inputs, %ld taken, %ld stopped\n",
			   target->name, target->sent, target->taken, target->stopped);
		fflush(stdout);

		/* Else little was tried. */
		if (target->sent >= 1000 && (target->taken * 100 < target->sent || target->taken * 100 > target->sent * 95))
		{
			fprintf(stderr, "%s: %ld of %ld inputs were taken\n", target->name, target->taken, target->sent);
			wrong++;
		}
		if (target->stopped * 1000 > target->sent)
		{
			fprintf(stderr, "%s: %ld inputs took longer than 2 seconds\n", target->name, target->stopped);
			wrong++;
		}
	}
	PQfinish(conn);
	printf("%ld wrong\n", wrong);
	return wrong == 0 ? 0 : 1;
}
