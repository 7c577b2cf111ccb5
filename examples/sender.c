/*
 * sender.c
 *		A worker to copy: takes care messages of one channel from the queue and
 *		hands each to a command or to an HTTP address.
 *
 *	sender -c sms -u http://gateway.example/send
 *	sender -c email -x 'send-mail --from shop@example.com'
 *
 * It connects as libpq's environment (PGHOST, PGDATABASE, ...) or -d says, to a
 * role that was granted retention_operator.  Any number may run at once.  Each
 * message is claimed for a while, looked at once more right before it goes, and
 * marked afterwards:
 *
 *	taken		2xx, or exit status 0: sent.  A short answer (one line) is
 *				kept as the provider's id, for receipts.
 *	refused		4xx other than 408, 425 and 429, or exit status 65: given up.
 *	anything else: tried again later, by whichever worker is there then.
 *
 * A worker that dies loses nothing: its messages come back when their lease
 * ends.  It may then have sent one that it could not mark any more, so every
 * attempt carries the same message_id, as the header Idempotency-Key and in
 * the JSON that the command reads: a provider that knows repeated requests
 * will not send it twice.
 *
 * SIGTERM and SIGINT end it after the message in hand; what it has claimed
 * besides is given back.
 *
 * Build:	cc -I$(pg_config --includedir) sender.c -o sender -lpq -lcurl
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>
#include <libpq-fe.h>

#define MAX_ANSWER 1000			/* of what a provider answers, so much is read */
#define MAX_RECONNECT_SECONDS 60

static const char *conninfo = "";
static const char *channel = NULL;
static const char *url = NULL;
static const char *command = NULL;
static char worker[128];
static int	batch = 50;
static int	lease_seconds = 60;
static int	poll_seconds = 30;
static bool once = false;

static volatile sig_atomic_t stopping = 0;
static sigset_t outside;		/* the signal mask while waiting */

typedef enum Outcome
{
	TAKEN,
	REFUSED,
	FAILED
} Outcome;

typedef struct Answer
{
	char		text[MAX_ANSWER + 1];
	size_t		length;
} Answer;

static void
stop(int signo)
{
	(void) signo;
	stopping = 1;
}

static void
say(const char *format,...)
{
	va_list		args;

	fprintf(stderr, "%s: ", worker);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* Sleep, or wait for something to read from fd, until told to stop. */
static void
wait_for(int fd, int seconds)
{
	struct pollfd entry = {.fd = fd,.events = POLLIN};
	struct timespec timeout = {.tv_sec = seconds};

	if (!stopping)
		ppoll(&entry, 1, &timeout, &outside);
}

/* ----------
 * The database
 * ----------
 */

static PGconn *db = NULL;

static bool
connect_once(void)
{
	PGresult   *result;
	bool		ok;

	if (db != NULL)
		PQfinish(db);
	db = PQconnectdb(conninfo);
	if (PQstatus(db) != CONNECTION_OK)
	{
		say("cannot connect: %s", PQerrorMessage(db));
		return false;
	}
	result = PQexec(db, "SET application_name = 'retention sender'; LISTEN retention_messages");
	ok = PQresultStatus(result) == PGRES_COMMAND_OK;
	if (!ok)
		say("cannot listen: %s", PQerrorMessage(db));
	PQclear(result);
	return ok;
}

/* Connect, trying until it works or the worker is told to stop. */
static bool
reconnect(void)
{
	int			seconds = 1;

	while (!connect_once())
	{
		if (stopping)
			return false;
		wait_for(-1, seconds);
		if (seconds < MAX_RECONNECT_SECONDS)
			seconds *= 2;
	}
	return true;
}

/*
 * Run a statement.  When the connection is lost, connect again and repeat it:
 * all that a worker says may be said twice.  NULL when told to stop meanwhile,
 * or when the statement itself is at fault.
 */
static PGresult *
run(const char *sql, int nparams, const char *const *params)
{
	for (;;)
	{
		PGresult   *result = PQexecParams(db, sql, nparams, NULL, params, NULL, NULL, 0);

		if (PQresultStatus(result) == PGRES_TUPLES_OK)
			return result;
		say("%s", PQerrorMessage(db));
		PQclear(result);
		if (PQstatus(db) == CONNECTION_OK || !reconnect())
			return NULL;
	}
}

/* Run a statement about one message; its only value, or "" when it failed. */
static void
tell(char *value, size_t size, const char *sql, int nparams, const char *const *params)
{
	PGresult   *result = run(sql, nparams, params);

	snprintf(value, size, "%s", result ? PQgetvalue(result, 0, 0) : "");
	PQclear(result);
}

/* ----------
 * The providers
 * ----------
 */

static size_t
keep_answer(char *data, size_t size, size_t count, void *arg)
{
	Answer	   *answer = (Answer *) arg;
	size_t		room = MAX_ANSWER - answer->length;
	size_t		length = size * count < room ? size * count : room;

	memcpy(answer->text + answer->length, data, length);
	answer->length += length;
	answer->text[answer->length] = '\0';
	return size * count;
}

static Outcome
send_http(CURL *curl, const char *message_id, const char *json, Answer *answer)
{
	struct curl_slist *headers;
	char		key[100];
	long		status = 0;
	CURLcode	code;

	snprintf(key, sizeof(key), "Idempotency-Key: %s", message_id);
	headers = curl_slist_append(NULL, "Content-Type: application/json");
	headers = curl_slist_append(headers, key);

	/* Done, one way or the other, well before the lease ends. */
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, json);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_answer);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, lease_seconds * 500L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);

	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);

	if (code != CURLE_OK)
	{
		snprintf(answer->text, sizeof(answer->text), "%s", curl_easy_strerror(code));
		return FAILED;
	}
	if (status >= 200 && status < 300)
		return TAKEN;
	snprintf(answer->text, sizeof(answer->text), "HTTP status %ld", status);
	if (status >= 400 && status < 500 && status != 408 && status != 425 && status != 429)
		return REFUSED;
	return FAILED;
}

static Outcome
send_command(const char *json, Answer *answer)
{
	int			in[2];
	int			out[2];
	pid_t		pid;
	int			status;
	size_t		length = strlen(json);
	ssize_t		n;
	char		buffer[MAX_ANSWER];

	if (pipe(in) != 0 || pipe(out) != 0 || (pid = fork()) < 0)
	{
		snprintf(answer->text, sizeof(answer->text), "%s", strerror(errno));
		return FAILED;
	}
	if (pid == 0)
	{
		/* What stops the worker lets the message in hand be finished. */
		setpgid(0, 0);
		signal(SIGPIPE, SIG_DFL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[0]);
		close(in[1]);
		close(out[0]);
		close(out[1]);
		execl("/bin/sh", "sh", "-c", command, (char *) NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	while (length > 0 && (n = write(in[1], json, length)) > 0)
	{
		json += n;
		length -= n;
	}
	close(in[1]);
	while ((n = read(out[0], buffer, sizeof(buffer))) > 0)
		keep_answer(buffer, 1, n, answer);
	close(out[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return TAKEN;
	if (WIFEXITED(status))
		snprintf(answer->text, sizeof(answer->text), "the command ended with status %d", WEXITSTATUS(status));
	else
		snprintf(answer->text, sizeof(answer->text), "the command was ended by signal %d", WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 65 ? REFUSED : FAILED;
}

/* The provider's id, if the answer looks like one. */
static const char *
provider_id(Answer *answer)
{
	char	   *start = answer->text;
	char	   *end;

	while (isspace((unsigned char) *start))
		start++;
	end = start + strlen(start);
	while (end > start && isspace((unsigned char) end[-1]))
		end--;
	*end = '\0';
	return *start != '\0' && strlen(start) <= 200 && strpbrk(start, "\r\n") == NULL ? start : NULL;
}

/* ----------
 * The work
 * ----------
 */

static void
deliver(CURL *curl, const char *token, const char *message_id, const char *json)
{
	char		lease[32];
	char		told[32];
	const char *params[3] = {token, lease, NULL};
	Answer		answer = {{0}, 0};
	Outcome		outcome;

	/* The order may have been paid since, or the customer have refused. */
	snprintf(lease, sizeof(lease), "%d seconds", lease_seconds);
	tell(told, sizeof(told), "SELECT retention.extend_lease($1, $2, clock_timestamp())", 2, params);
	if (told[0] != 't')
	{
		say("message %s was taken back", message_id);
		return;
	}

	outcome = url ? send_http(curl, message_id, json, &answer) : send_command(json, &answer);
	if (outcome == TAKEN)
	{
		params[1] = provider_id(&answer);
		tell(told, sizeof(told), "SELECT retention.mark_sent($1, $2, clock_timestamp())", 2, params);
		if (strcmp(told, "sent") != 0)
			say("message %s was sent, but is recorded as %s", message_id, told[0] ? told : "not marked");
		return;
	}
	say("message %s: %s", message_id, answer.text);
	params[1] = answer.text;
	params[2] = outcome == REFUSED ? "t" : "f";
	tell(told, sizeof(told), "SELECT retention.mark_failed($1, $2, $3, clock_timestamp())", 3, params);
}

/* Claim a batch and deal with it; how many there were, -1 on failure. */
static int
work(CURL *curl)
{
	char		max[32];
	char		lease[32];
	const char *params[] = {channel, max, lease, worker};
	PGresult   *claimed;
	int			n;

	snprintf(max, sizeof(max), "%d", batch);
	snprintf(lease, sizeof(lease), "%d seconds", lease_seconds);
	claimed = run("SELECT c.token, c.message_id, row_to_json(c)"
				  " FROM retention.claim_messages($1, $2, $3, $4, clock_timestamp()) c",
				  4, params);
	if (claimed == NULL)
		return -1;
	n = PQntuples(claimed);
	for (int i = 0; i < n; i++)
	{
		const char *token = PQgetvalue(claimed, i, 0);

		if (stopping)
		{
			char		told[8];

			tell(told, sizeof(told), "SELECT retention.release_message($1)", 1, &token);
		}
		else
			deliver(curl, token, PQgetvalue(claimed, i, 1), PQgetvalue(claimed, i, 2));
	}
	PQclear(claimed);
	return n;
}

/* Whether run() has said that something is due. */
static bool
woken(void)
{
	bool		found = false;
	PGnotify   *notice;

	PQconsumeInput(db);
	while ((notice = PQnotifies(db)) != NULL)
	{
		found = true;
		PQfreemem(notice);
	}
	return found;
}

static void
usage(void)
{
	fprintf(stderr,
			"usage: sender -c CHANNEL (-u URL | -x COMMAND) [option]...\n"
			"  -d CONNINFO  how to connect; by default as libpq's environment says\n"
			"  -w NAME      name of this worker, kept with what it claims\n"
			"  -n COUNT     messages claimed at a time (%d)\n"
			"  -l SECONDS   lease: a message is back in the queue so long after a worker died (%d)\n"
			"  -p SECONDS   looks for messages so often when nothing wakes it (%d)\n"
			"  -1           ends when nothing is due\n",
			batch, lease_seconds, poll_seconds);
	exit(2);
}

int
main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = stop};
	sigset_t	blocked;
	CURL	   *curl = NULL;
	int			option;

	gethostname(worker, sizeof(worker) - 32);
	worker[sizeof(worker) - 32] = '\0';
	sprintf(worker + strlen(worker), ":%ld", (long) getpid());
	while ((option = getopt(argc, argv, "c:u:x:d:w:n:l:p:1")) != -1)
	{
		switch (option)
		{
			case 'c':
				channel = optarg;
				break;
			case 'u':
				url = optarg;
				break;
			case 'x':
				command = optarg;
				break;
			case 'd':
				conninfo = optarg;
				break;
			case 'w':
				snprintf(worker, sizeof(worker), "%s", optarg);
				break;
			case 'n':
				batch = atoi(optarg);
				break;
			case 'l':
				lease_seconds = atoi(optarg);
				break;
			case 'p':
				poll_seconds = atoi(optarg);
				break;
			case '1':
				once = true;
				break;
			default:
				usage();
		}
	}
	if (optind < argc || channel == NULL || (url == NULL) == (command == NULL) ||
		batch <= 0 || lease_seconds <= 0 || poll_seconds <= 0)
		usage();

	/* Blocked around each wait, so that none slips in right before it. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&outside);

	if (url != NULL)
	{
		curl_global_init(CURL_GLOBAL_DEFAULT);
		curl = curl_easy_init();
		if (curl == NULL)
		{
			say("cannot start libcurl");
			return 1;
		}
	}

	if (reconnect())
	{
		while (!stopping)
		{
			int			n = work(curl);

			if (n > 0 || stopping || woken())
				continue;
			if (once)
				break;

			sigprocmask(SIG_BLOCK, &blocked, NULL);
			wait_for(PQsocket(db), n < 0 ? 1 : poll_seconds);
			sigprocmask(SIG_UNBLOCK, &blocked, NULL);
		}
	}
	PQfinish(db);
	if (curl != NULL)
		curl_easy_cleanup(curl);
	return 0;
}
