import type { Test } from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisPool, SqlPool } from '../../plugins/pools/index.ts'
import { random } from '../shared-memory/random.ts'
import { Proxy } from './proxy.ts'
import { headersOf, observe, openSubject } from './subjects.ts'
import type { Kind, Observer, Subject } from './subjects.ts'
import { isWhole, unique } from './whole.ts'

const SIZE = 4
const TIMEOUT_MS = 1000
const STATEMENT_MS = 300
/** Statements that a caller sends by himself have no other limit. */
const SIGNAL_MS = 1500
const SLACK_MS = 2000
/** A value that was there already: it was sent twice. */
const DUPLICATES = ['23505', 'ER_DUP_ENTRY']

interface Storm {
  kind: Kind
  seed: number
  ms: number
  callers: number
}

interface Tally {
  answers: number
  failures: number
  faults: number
  /** Tokens of which the caller was told that it is done, or got an error. */
  done: number[]
  failed: number[]
  /** Those of them that were to be done together with a count. */
  counted: Set<number>
}

/** What leaves a trace on the server, which is looked for in the end. */
interface Traces {
  leave (token: number, signal?: AbortSignal): Promise<unknown>
  leaveAndCount (token: number, signal: AbortSignal): Promise<unknown>
  /** How often each token was left, and the count. */
  found (): Promise<{ times: Map<number, number>, count: number }>
  remove (): Promise<unknown>
}

async function tracesInTable ({ pool, kind }: Subject, { run }: Observer): Promise<Traces> {
  const sql = pool as SqlPool<any>
  await run('CREATE TABLE traces (token int PRIMARY KEY)')
  await run('CREATE TABLE counters (n int)')
  await run('INSERT INTO counters VALUES (0)')
  const insert = `INSERT INTO traces VALUES (${kind === 'postgresql' ? '$1' : '?'})`
  return {
    leave: (token, signal) => sql.execute(insert, [token], signal === undefined ? {} : { signal }),
    leaveAndCount: (token, signal) => sql.transaction(async (connection) => {
      await connection.query(insert, [token])
      await connection.query('UPDATE counters SET n = n + 1')
    }, { signal }),
    found: async () => ({
      times: new Map((await run('SELECT token FROM traces')).map(({ token }) => [token, 1])),
      count: (await run('SELECT n FROM counters'))[0].n
    }),
    remove: async () => {}
  }
}

function tracesInKeys ({ pool }: Subject, { options }: Observer): Traces {
  const redis = pool as RedisPool
  const key = `fastify-swoole:${options.name}`
  return {
    leave: (token) => redis.command('hincrby', key, token, 1),
    leaveAndCount: (token, signal) => redis.withConnection((client) => client.multi().hincrby(key, token, 1).incr(`${key}:count`).exec(), { signal }),
    found: async () => ({
      times: new Map(Object.entries(await redis.hgetall(key)).map(([token, times]) => [Number(token), Number(times)])),
      count: Number(await redis.getValue(`${key}:count`))
    }),
    remove: () => redis.delete(key, `${key}:count`)
  }
}

/**
 * Callers ask for numbers and leave traces, while connections are stalled, cut, corrupted and killed. Each has its own answer or an
 * error in time; what was told to be done was done once, what failed at most once; then the pool is whole.
 */
export async function weatherStorm (t: Test, { kind, seed, ms, callers }: Storm): Promise<void> {
  const next = random(seed)
  const observer = await observe(t, kind)
  const proxy = await Proxy.start(observer.server, headersOf(kind))
  const limits = { poolSize: SIZE, timeout: TIMEOUT_MS, ...(kind === 'redis' ? { commandTimeout: STATEMENT_MS } : { queryTimeout: STATEMENT_MS }) }
  const subject = await openSubject(t, kind, { ...observer.server, host: '127.0.0.1', port: proxy.port }, { ...observer.options, ...limits })
  t.teardown(() => proxy.close())
  const traces = kind === 'redis' ? tracesInKeys(subject, observer) : await tracesInTable(subject, observer)
  t.teardown(() => traces.remove())
  const tally: Tally = { answers: 0, failures: 0, faults: 0, done: [], failed: [], counted: new Set() }
  const endMs = performance.now() + ms
  const isOver = () => performance.now() > endMs

  const storm = rage({ kind, proxy, observer, tally, next, isOver })
  await Promise.all(Array.from({ length: callers }, () => call({ t, subject, traces, tally, next, isOver })))
  await storm
  await proxy.accept()
  proxy.heal()
  // Nothing of what was stalled or corrupted is used again.
  proxy.reset()
  await sleep(TIMEOUT_MS)

  await isWhole(t, subject, observer)
  const { times, count } = await traces.found()
  t.same(tally.done.filter((token) => times.get(token) !== 1), [], 'what was told to be done was done once')
  t.same(tally.failed.filter((token) => (times.get(token) ?? 0) > 1), [], 'what failed was done at most once')
  t.equal([...tally.counted].filter((token) => times.has(token)).length, count, 'a transaction is done as a whole or not at all')
  t.ok(tally.answers > callers && tally.faults > 5, `${tally.answers} answers, ${tally.failures} failures, ${tally.faults} faults`)
}

interface Calls {
  t: Test
  subject: Subject
  traces: Traces
  tally: Tally
  next: (limit: number) => number
  isOver: () => boolean
}

async function call ({ t, subject, traces, tally, next, isOver }: Calls): Promise<void> {
  while (!isOver()) {
    const token = unique()
    const signal = AbortSignal.timeout(next(8) === 0 ? next(50) + 1 : SIGNAL_MS)
    const begunMs = performance.now()
    const kind = next(5)
    if (kind === 4) tally.counted.add(token)
    try {
      if (kind < 2) {
        const answer = await subject.ask(token, next(2) === 0 ? {} : { signal })
        if (answer !== token) t.fail(`asked for ${token}, got ${answer}`)
      } else if (kind === 2) {
        const answer = await subject.pool.withConnection(async (connection) => {
          if (next(3) === 0) await subject.changeOn(connection)
          return await subject.askOn(connection, token)
        }, { signal })
        if (answer !== token) t.fail(`asked for ${token}, got ${answer}`)
      } else {
        await (kind === 3 ? traces.leave(token, next(2) === 0 ? signal : undefined) : traces.leaveAndCount(token, signal))
        tally.done.push(token)
      }
      tally.answers++
    } catch (error) {
      tally.failures++
      if (kind > 2) tally.failed.push(token)
      const { code } = error as { code?: string }
      if (!(error instanceof Error) || DUPLICATES.includes(code!)) t.fail(`${token}: ${error}`)
    }
    const tookMs = performance.now() - begunMs
    if (tookMs > TIMEOUT_MS + SIGNAL_MS + STATEMENT_MS + SLACK_MS) t.fail(`${token} took ${tookMs} ms`)
  }
}

interface Weather {
  kind: Kind
  proxy: Proxy
  observer: Observer
  tally: Tally
  next: (limit: number) => number
  isOver: () => boolean
}

async function rage ({ kind, proxy, observer, tally, next, isOver }: Weather): Promise<void> {
  const oneOf = <T>(all: Iterable<T>): T | undefined => {
    const list = [...all]
    return list[next(list.length || 1)]
  }
  const faults: Array<() => unknown> = [
    () => oneOf(proxy.links)?.after(next(200), next(2) === 0 ? 'toClient' : 'toServer', next(2) === 0 ? 'cut' : 'reset'),
    () => oneOf(proxy.links)?.after(next(200), next(2) === 0 ? 'toClient' : 'toServer', 'stall'),
    () => oneOf(proxy.links)?.slow(1 + next(20), next(3)),
    // An answer of Redis whose length is another can swallow those of others: nothing in it tells where it ends.
    () => kind !== 'redis' && oneOf(proxy.links)?.after(next(40), 'toClient', 'corruptHeader', 1 << next(8)),
    async () => {
      const id = oneOf(await observer.connections())
      if (id !== undefined) await observer.kill(id).catch(() => {})
    },
    async () => {
      proxy.stall()
      await sleep(next(600))
      proxy.resume()
    },
    async () => {
      proxy.refuse()
      if (next(2) === 0) proxy.cut()
      await sleep(next(400))
      await proxy.accept()
    }
  ]
  while (!isOver()) {
    await faults[next(faults.length)]!()
    tally.faults++
    await sleep(next(120))
  }
}
