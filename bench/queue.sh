#!/bin/bash
# What a worker gets out of the queue: messages claimed and marked sent in a
# second, against a queue that only hands rows out, the way pgmq does it,
# written in plain SQL.  Installs what is missing by apt; takes some minutes.
#
#   bash bench/queue.sh [MESSAGES] [BATCH]
#
# MESSAGES  due at the start (default 1000000)
# BATCH     claimed at a time (default 100)
#
# A worker claims a batch in one transaction and completes it in another.  The
# queues take turns in one run, so that the ratios hold on a machine whose
# speed drifts; each figure is the median of three.  What the plain queue does
# not do: check the rule, the order, consent, suppression, quiet hours and caps
# at that moment, render the text, choose by priority.
. "$(dirname "${BASH_SOURCE[0]}")/../test/private_cluster.sh"

MESSAGES=${1:-1000000}
BATCH=${2:-100}
[[ $MESSAGES =~ ^[1-9][0-9]{3,8}$ ]] || die "$MESSAGES is no number of messages (at least 1000)"
[[ $BATCH =~ ^[1-9][0-9]{0,3}$ ]] || die "$BATCH is no batch"
# so many in each run, of which there are 9 on a queue
EACH=$((MESSAGES / 40))

require_postgresql
make_folder retention-bench
trap 'remove_folder "$FOLDER"' EXIT
trap 'exit 130' INT TERM

copy_source "$FOLDER/source"
install_stage "$FOLDER/source" >/dev/null || die "the build failed"
# As a shop's server would run: what is committed is on the disk.
start_cluster "fsync = on" "shared_buffers = '1GB'" "max_wal_size = '8GB'" "checkpoint_timeout = '1h'"

sql() {
	"$BINDIR/psql" -X -q -d postgres -v ON_ERROR_STOP=1 "$@"
}

median() {
	sort -n | awk '{v[NR] = $1} END {printf "%.0f", (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'
}

say "Queueing $MESSAGES messages twice"
sql -v messages="$MESSAGES" <<'SQL'
CREATE EXTENSION retention;
INSERT INTO retention.shop (shop_id, name, quiet_from, marketing_consent) VALUES (1, 'Tea House', NULL, 'opt_out');
INSERT INTO retention.care_template (shop_id, name, language, text)
VALUES (1, 'greeting', 'zh', '{{nickname|亲}}，您的包裹已经发出，请注意查收');
INSERT INTO retention.care_rule (shop_id, name, event, channel, purpose, template)
VALUES (1, 'hello', 'birthday', 'sms', 'transactional', 'greeting'), (1, 'news', 'season', 'email', 'marketing', 'greeting');
INSERT INTO retention.customer (shop_id, customer_id, nickname, phone, email)
SELECT 1, n, 'N' || n, '138' || n, n || '@example.com'
FROM generate_series(1, :messages) AS n;
INSERT INTO retention.care_message (shop_id, customer_id, rule, subject, channel, purpose, priority, due_at, expires_at, queued_at, changed_at)
SELECT 1, n, r.name, 'once', r.channel, r.purpose, 50, now() - n * interval '1 second', now() + interval '1 year', now(), now()
FROM retention.care_rule r, generate_series(1, :messages) AS n
WHERE r.name = 'hello' OR n <= :messages / 2;

-- pgmq's tables and statements.
CREATE TABLE plain_queue (
	msg_id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
	read_ct integer NOT NULL DEFAULT 0,
	enqueued_at timestamptz NOT NULL DEFAULT now(),
	vt timestamptz NOT NULL,
	message jsonb
);
CREATE INDEX ON plain_queue (vt);
CREATE TABLE plain_archive (
	msg_id bigint PRIMARY KEY,
	read_ct integer NOT NULL,
	enqueued_at timestamptz NOT NULL,
	archived_at timestamptz NOT NULL DEFAULT now(),
	vt timestamptz NOT NULL,
	message jsonb
);
CREATE INDEX ON plain_archive (archived_at);
INSERT INTO plain_queue (vt, message)
SELECT now(), jsonb_build_object('customer', n, 'recipient', '138' || n, 'text', '【Tea House】N' || n || '，您的包裹已经发出，请注意查收')
FROM generate_series(1, :messages) AS n;
VACUUM (ANALYZE);
CHECKPOINT;
SQL

for channel in sms email; do
	cat >"$FOLDER/$channel.sql" <<-SQL
		SELECT coalesce(array_agg(token), '{}') AS tokens FROM retention.claim_messages('$channel', $BATCH, '1 hour') \\gset
		SELECT count(*) FROM retention.mark_messages(':tokens'::uuid[], ':tokens'::text[]);
	SQL
done
cat >"$FOLDER/plain.sql" <<-SQL
	WITH next AS (
		SELECT msg_id FROM plain_queue WHERE vt <= clock_timestamp() ORDER BY msg_id LIMIT $BATCH FOR UPDATE SKIP LOCKED
	), read AS (
		UPDATE plain_queue q SET vt = clock_timestamp() + interval '1 hour', read_ct = read_ct + 1
		FROM next WHERE q.msg_id = next.msg_id RETURNING q.*
	)
	SELECT coalesce(array_agg(msg_id), '{}') AS ids FROM read \\gset
	WITH done AS (DELETE FROM plain_queue WHERE msg_id = ANY (':ids'::bigint[]) RETURNING msg_id, vt, read_ct, enqueued_at, message)
	INSERT INTO plain_archive (msg_id, vt, read_ct, enqueued_at, message)
	SELECT msg_id, vt, read_ct, enqueued_at, message FROM done;
SQL

# Messages that left a queue for good.
done_of() {
	case $1 in
		plain) sql -At -c 'SELECT count(*) FROM plain_archive' ;;
		*) sql -At -c "SELECT count(*) FROM retention.care_message WHERE channel = '$1' AND state = 'sent'" ;;
	esac
}

# rate QUEUE WORKERS: messages a second; counted, not taken on trust
rate() {
	local before after start end

	before=$(done_of "$1")
	start=${EPOCHREALTIME/[.,]/}
	"$BINDIR/pgbench" -n -c "$2" -j "$2" -t $((EACH / BATCH / $2 + 1)) -f "$FOLDER/$1.sql" postgres >/dev/null 2>"$FOLDER/pgbench.log" ||
		die "$(tail -n 5 "$FOLDER/pgbench.log")"
	end=${EPOCHREALTIME/[.,]/}
	after=$(done_of "$1")
	echo $(((after - before) * 1000000 / (end - start)))
}

printf '%s, %s cores, %s due messages, %s at a time; messages claimed and completed a second\n\n' \
	"$("$BINDIR/postgres" --version)" "$(nproc)" "$MESSAGES" "$BATCH"
printf '%-8s %12s %16s %7s %12s %7s\n' workers 'plain queue' transactional ratio marketing ratio
for workers in 1 4 8; do
	rm -f "$FOLDER"/rates.*
	for _ in 1 2 3; do
		for queue in plain sms email; do
			rate $queue $workers >>"$FOLDER/rates.$queue"
		done
	done
	plain=$(median <"$FOLDER/rates.plain") sms=$(median <"$FOLDER/rates.sms") email=$(median <"$FOLDER/rates.email")
	awk -v w=$workers -v p="$plain" -v s="$sms" -v e="$email" \
		'BEGIN {printf "%-8d %12d %16d %7.2f %12d %7.2f\n", w, p, s, s / p, e, e / p}'
done

# The same with a history: does it cost more when much has been sent?
say "Adding $((MESSAGES * 2)) messages sent before"
sql -v messages="$MESSAGES" <<'SQL'
VACUUM (ANALYZE) retention.care_message;
CHECKPOINT;
SQL
rm -f "$FOLDER"/rates.*
# the first run after a checkpoint writes whole pages: not counted
rate sms 1 >"$FOLDER/rates.warm"
for _ in 1 2 3; do
	rate sms 1 >>"$FOLDER/rates.before"
done
sql -v messages="$MESSAGES" <<'SQL'
INSERT INTO retention.care_message (shop_id, customer_id, rule, subject, channel, purpose, priority, state, due_at, expires_at, queued_at, changed_at, sent_at, counted_at, token, message_id)
SELECT 1, n, r.name, 'year ' || year, r.channel, r.purpose, 50, 'sent', sent, sent, sent, sent, sent, CASE WHEN r.purpose = 'marketing' THEN sent END,
	(substr(time, 1, 8) || '-' || substr(time, 9, 4) || substr(gen_random_uuid()::text, 14))::uuid, gen_random_uuid()
FROM generate_series(1, :messages) AS n, generate_series(1, 2) AS year, LATERAL (
	-- tokens begin with the time
	SELECT now() - year * interval '1 year' AS sent, lpad(to_hex((extract(epoch FROM now() - year * interval '1 year') * 1000)::bigint + n), 12, '0') AS time
) AS t, retention.care_rule r
WHERE r.name = CASE WHEN n % 2 = 0 THEN 'hello' ELSE 'news' END;
VACUUM (ANALYZE) retention.care_message;
CHECKPOINT;
SQL
rate sms 1 >"$FOLDER/rates.warm"
for _ in 1 2 3; do
	rate sms 1 >>"$FOLDER/rates.after"
done
before=$(median <"$FOLDER/rates.before") after=$(median <"$FOLDER/rates.after")
awk -v b="$before" -v a="$after" -v n=$((MESSAGES * 2)) \
	'BEGIN {printf "\n1 worker, transactional: %d a second, and %d with %d more messages sent before (ratio %.2f)\n", b, a, n, a / b}'
