// A loader prints the answers to its questions as JSON.  The connection comes
// from the PG* variables; the role needs no more than retention_reader.
import pg from 'pg';

// Numbers of any size as JavaScript's, days as they are written.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);
pg.types.setTypeParser(pg.types.builtins.NUMERIC, Number);
pg.types.setTypeParser(pg.types.builtins.DATE, String);

export async function answer(questions) {
	const client = new pg.Client();
	await client.connect();
	try {
		const answers = {};
		await client.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
		for (const [name, question] of Object.entries(questions)) {
			answers[name] = (await client.query(question)).rows;
		}
		await client.query('COMMIT');
		process.stdout.write(JSON.stringify(answers));
	} finally {
		await client.end();
	}
}
