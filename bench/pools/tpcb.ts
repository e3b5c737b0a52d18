/* The TPC-B-like transaction of pgbench, on tables that are filled as pgbench fills them. */
import { POSTGRESQL, pg } from './servers.ts'

const SCHEMA = 'fastify_swoole_bench'
const ACCOUNTS = 100_000
const TELLERS = 10

/** Of which pgbench makes so many of each. */
export const SCALE = 10

interface Client {
  query (text: string, values?: unknown[]): Promise<{ rows: unknown[], rowCount: number | null }>
}

export async function transact (client: Client): Promise<void> {
  const aid = random(1, ACCOUNTS * SCALE)
  const bid = random(1, SCALE)
  const tid = random(1, TELLERS * SCALE)
  const delta = random(-5000, 5000)
  await client.query(`UPDATE ${SCHEMA}.pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2`, [delta, aid])
  await client.query(`SELECT abalance FROM ${SCHEMA}.pgbench_accounts WHERE aid = $1`, [aid])
  await client.query(`UPDATE ${SCHEMA}.pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2`, [delta, tid])
  await client.query(`UPDATE ${SCHEMA}.pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2`, [delta, bid])
  await client.query(`INSERT INTO ${SCHEMA}.pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)`, [tid, bid, aid, delta])
}

export interface Tables extends AsyncDisposable {
  /** Throws when the sums of the balances differ, which they do when a transaction was done in part. */
  check (): Promise<void>
}

/** A schema of its own, which one of a benchmark that was killed is replaced by. */
export async function makeTables (): Promise<Tables> {
  const client = new pg.Client(POSTGRESQL)
  await client.connect()
  await client.query(`
    DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE;
    CREATE SCHEMA ${SCHEMA};
    SET search_path = ${SCHEMA};
    CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int NOT NULL, filler char(88)) WITH (fillfactor = 100);
    CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int NOT NULL, tbalance int NOT NULL, filler char(84)) WITH (fillfactor = 100);
    CREATE TABLE pgbench_accounts (aid int NOT NULL, bid int NOT NULL, abalance int NOT NULL, filler char(84)) WITH (fillfactor = 100);
    CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
    INSERT INTO pgbench_branches SELECT bid, 0 FROM generate_series(1, ${SCALE}) AS bid;
    INSERT INTO pgbench_tellers SELECT tid, (tid - 1) / ${TELLERS} + 1, 0 FROM generate_series(1, ${TELLERS * SCALE}) AS tid;
    INSERT INTO pgbench_accounts SELECT aid, (aid - 1) / ${ACCOUNTS} + 1, 0, '' FROM generate_series(1, ${ACCOUNTS * SCALE}) AS aid;
    ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid);
  `)
  await client.query('VACUUM ANALYZE pgbench_accounts')
  await client.query('CHECKPOINT')
  return {
    async check () {
      const { rows: [sums] } = await client.query(`
        SELECT (SELECT sum(abalance) FROM pgbench_accounts) AS accounts, (SELECT sum(tbalance) FROM pgbench_tellers) AS tellers,
               (SELECT sum(bbalance) FROM pgbench_branches) AS branches, (SELECT sum(delta) FROM pgbench_history) AS history`)
      if (new Set(Object.values(sums)).size !== 1) throw new Error(`the balances differ: ${JSON.stringify(sums)}`)
    },
    async [Symbol.asyncDispose] () {
      await client.query(`DROP SCHEMA ${SCHEMA} CASCADE`)
      await client.end()
    }
  }
}

function random (from: number, to: number): number {
  return from + Math.floor(Math.random() * (to - from + 1))
}
