/*
 * ledger_hammer.c
 *		Eight connections after the points of fifty customers: redemptions,
 *		holds, accruals, refunds, transfers and expiry at once, some of them
 *		killed in the middle of a transaction.
 *
 * In the end check_ledger() must show nothing, no session may have met a
 * deadlock, and every redemption that was confirmed must be there.
 *
 *		ledger_hammer [SECONDS ["connection string"]]
 *
 * Without an argument it goes on for LEDGER_HAMMER_SECONDS, or 10.
 *
 * The database needs the extension, and is left as it was found.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libpq-fe.h"

#define CLIENTS 8
#define CUSTOMERS 50

/* What a worker met, told to the parent through a pipe. */
typedef struct Tally
{
	long		done;
	long		refused;		/* too few points */
	long		killed;
	long		deadlocks;
	long		others;
	long		confirmed;		/* points of redemptions that were committed */
} Tally;

static const char *conninfo = "";

static PGconn *
connect_or_exit(void)
{
	PGconn	   *conn = PQconnectdb(conninfo);

	if (PQstatus(conn) != CONNECTION_OK)
	{
		fprintf(stderr, "could not connect: %s", PQerrorMessage(conn));
		exit(2);
	}
	PQclear(PQexec(conn, "SET client_min_messages = warning"));
	return conn;
}

static void
run_or_exit(PGconn *conn, const char *sql)
{
	PGresult   *result = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
	{
		fprintf(stderr, "%s\n%s", sql, PQerrorMessage(conn));
		exit(2);
	}
	PQclear(result);
}

static char *
value_or_exit(PGconn *conn, const char *sql)
{
	PGresult   *result = PQexec(conn, sql);
	char	   *value;

	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
	{
		fprintf(stderr, "%s\n%s", sql, PQerrorMessage(conn));
		exit(2);
	}
	value = strdup(PQgetvalue(result, 0, 0));
	PQclear(result);
	return value;
}

/* Run a statement and count how it ended; true when it was done. */
static int
run_counted(PGconn **conn, const char *sql, Tally *tally)
{
	PGresult   *result = PQexec(*conn, sql);
	ExecStatusType status = PQresultStatus(result);
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	int			done = (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK);

	if (done)
		tally->done++;
	else if (PQstatus(*conn) != CONNECTION_OK || (sqlstate && strcmp(sqlstate, "57P01") == 0))
	{
		tally->killed++;
		PQfinish(*conn);
		*conn = connect_or_exit();
	}
	else if (sqlstate && strcmp(sqlstate, "40P01") == 0)
		tally->deadlocks++;
	else if (sqlstate && strcmp(sqlstate, "23514") == 0)
		tally->refused++;
	else
	{
		tally->others++;
		fprintf(stderr, "%s\n%s", sql, PQerrorMessage(*conn));
	}
	PQclear(result);
	return done;
}

static void
work(int number, int seconds, Tally *tally)
{
	PGconn	   *conn = connect_or_exit();
	time_t		end = time(NULL) + seconds;
	unsigned int seed = 7919 * (number + 1);
	long		step;

	memset(tally, 0, sizeof(Tally));
	for (step = 0; time(NULL) < end; step++)
	{
		int			customer = rand_r(&seed) % CUSTOMERS;
		int			other = rand_r(&seed) % CUSTOMERS;
		int			points = 1 + rand_r(&seed) % 80;
		int			choice = rand_r(&seed) % 100;
		char		sql[1024];

		if (choice < 35)
		{
			snprintf(sql, sizeof(sql), "SELECT retention.redeem('%d', %d, 'r %d %ld')",
					 customer, points, number, step);
			if (run_counted(&conn, sql, tally))
				tally->confirmed += points;
			continue;
		}
		else if (choice < 60)
			snprintf(sql, sizeof(sql),
					 "INSERT INTO hammer.orders VALUES (%ld, '%d', %d, 0, now())",
					 number * 100000000L + step, customer, 2 * points);
		else if (choice < 75)
			snprintf(sql, sizeof(sql),
					 "UPDATE hammer.orders SET refunded = least(total, refunded + %d)"
					 " WHERE id = (SELECT id FROM hammer.orders WHERE customer = '%d'"
					 " AND refunded < total ORDER BY id DESC LIMIT 1)",
					 points, customer);
		else if (choice < 80)
			snprintf(sql, sizeof(sql),
					 "SELECT retention.hold('%d', %d, 'h %d %ld', timeout => '%d milliseconds')",
					 customer, points, number, step, 1 + points * 10);
		else if (choice < 85)
			snprintf(sql, sizeof(sql),
					 "SELECT retention.release(h.customer_id, h.reference)"
					 " FROM (SELECT customer_id, reference FROM retention.points_hold"
					 " WHERE state = 'open' AND customer_id = '%d' LIMIT 1) AS h", customer);
		else if (choice < 88 && customer != other)
			snprintf(sql, sizeof(sql), "SELECT retention.transfer('%d', '%d', %d, 't %d %ld')",
					 customer, other, points, number, step);
		else if (choice < 90)
			snprintf(sql, sizeof(sql), "SELECT retention.expire_points()");
		else if (choice < 95)
			snprintf(sql, sizeof(sql),
					 "SELECT retention.grant('%d', %d, 'hammer', 'g %d %ld', expires_at => clock_timestamp() + interval '%d milliseconds')",
					 customer, points, number, step, 500 + 10 * points);
		else if (choice < 99)
		{
			/* Several in one transaction, in the order in which customers are locked. */
			char		low[16];
			char		high[16];

			snprintf(low, sizeof(low), "%d", customer);
			snprintf(high, sizeof(high), "%d", other);
			if (strcmp(low, high) > 0)
			{
				snprintf(low, sizeof(low), "%d", other);
				snprintf(high, sizeof(high), "%d", customer);
			}
			snprintf(sql, sizeof(sql),
					 "BEGIN; SELECT retention.grant('%s', 5, 'pair', 'p %d %ld');"
					 " SELECT retention.grant('%s', 5, 'pair', 'q %d %ld'); SELECT pg_sleep(0.002); COMMIT",
					 low, number, step, high, number, step);
		}
		else
			snprintf(sql, sizeof(sql),
					 "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
					 " WHERE application_name = 'ledger_hammer' AND pid <> pg_backend_pid()"
					 " AND state = 'active' LIMIT 1");
		run_counted(&conn, sql, tally);
	}
	PQfinish(conn);
}

static void
set_up(PGconn *conn)
{
	run_or_exit(conn, "CREATE SCHEMA hammer");
	run_or_exit(conn, "INSERT INTO retention.shop (shop_id, name, time_zone) VALUES (1, 'hammer', 'UTC')");
	run_or_exit(conn, "CREATE TABLE hammer.orders (id bigint PRIMARY KEY, customer text, total numeric, refunded numeric, done_at timestamptz)");
	run_or_exit(conn, "CREATE INDEX ON hammer.orders (customer, id)");
	run_or_exit(conn, "INSERT INTO retention.customer (shop_id, customer_id) SELECT 1, n::text FROM generate_series(0, 49) AS n");
	run_or_exit(conn, "SELECT retention.attach_orders('hammer.orders', order_id => 'id', customer => 'customer',"
				" total => 'total', refunded => 'refunded', paid_at => 'done_at', completed_at => 'done_at')");
	run_or_exit(conn, "SELECT retention.grant(n::text, 200, 'start', 'start') FROM generate_series(0, 49) AS n");
}

static void
clean_up(PGconn *conn)
{
	run_or_exit(conn, "SELECT retention.detach('hammer.orders')");
	run_or_exit(conn, "DROP SCHEMA hammer CASCADE");
	run_or_exit(conn, "DROP EXTENSION retention CASCADE");
	run_or_exit(conn, "CREATE EXTENSION retention");
}

int
main(int argc, char **argv)
{
	const char *setting = argc > 1 ? argv[1] : getenv("LEDGER_HAMMER_SECONDS");
	int			seconds = setting ? atoi(setting) : 10;
	int			pipes[2];
	Tally		sum;
	PGconn	   *conn;
	char	   *problems;
	char	   *redeemed;
	int			failed;

	setenv("PGAPPNAME", "ledger_hammer", 0);
	if (argc > 2)
		conninfo = argv[2];
	conn = connect_or_exit();
	set_up(conn);
	PQfinish(conn);

	if (pipe(pipes) != 0)
		return 2;
	for (int i = 0; i < CLIENTS; i++)
	{
		pid_t		child = fork();

		if (child < 0)
			return 2;
		if (child == 0)
		{
			Tally		tally;

			work(i, seconds, &tally);
			_exit(write(pipes[1], &tally, sizeof(tally)) == sizeof(tally) ? 0 : 1);
		}
	}
	close(pipes[1]);

	memset(&sum, 0, sizeof(sum));
	for (int i = 0; i < CLIENTS; i++)
	{
		Tally		tally;

		if (read(pipes[0], &tally, sizeof(tally)) != sizeof(tally))
		{
			fprintf(stderr, "a client did not report\n");
			return 1;
		}
		sum.done += tally.done;
		sum.refused += tally.refused;
		sum.killed += tally.killed;
		sum.deadlocks += tally.deadlocks;
		sum.others += tally.others;
		sum.confirmed += tally.confirmed;
	}
	while (wait(NULL) > 0 || errno == EINTR)
		;

	conn = connect_or_exit();
	problems = value_or_exit(conn, "SELECT count(*) FROM retention.check_ledger()");
	redeemed = value_or_exit(conn, "SELECT coalesce(-sum(points), 0) FROM retention.points_entry WHERE kind = 'redemption'");
	printf("%ld done, %ld refused, %ld killed, %ld deadlocks, %ld other errors; check_ledger() shows %s rows\n",
		   sum.done, sum.refused, sum.killed, sum.deadlocks, sum.others, problems);
	printf("%ld points confirmed as redeemed, %s posted\n", sum.confirmed, redeemed);

	/* A session killed at its commit may have redeemed without having been told. */
	failed = strcmp(problems, "0") != 0 || sum.deadlocks > 0 || sum.others > 0 ||
		sum.done == 0 || sum.killed == 0 ||
		atol(redeemed) < sum.confirmed || atol(redeemed) > sum.confirmed + 80 * sum.killed;
	if (strcmp(problems, "0") == 0)
		clean_up(conn);
	PQfinish(conn);
	printf("%s\n", failed ? "FAILED" : "ok");
	return failed;
}
