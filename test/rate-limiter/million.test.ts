import t from 'tap'
import { Family } from '../../plugins/rate-limiter/memory.ts'
import { LimiterPool } from '../../plugins/rate-limiter/pool.ts'
import { createLocalMemory } from '../../plugins/shared-memory/index.ts'

const MEBIBYTE = 2 ** 20
const KEYS = 1_000_000
const MADE_UP = 3_000_000
const ACTIVE = 1000
/** Of each active client: it asks this often while the others come. */
const ASKS = 30
const LIMIT = 3
const BYTES_PER_KEY = 48
// What V8 may leave lying about; a Map of the made-up addresses would take three hundred.
const RSS_GROWTH_AT_MOST = 32 * MEBIBYTE

/** Different for each number below 2^24. */
const address = (network: number, n: number) => `${network}.${n >>> 16}.${n >>> 8 & 255}.${n & 255}`

t.test('a million clients are remembered, and three million made-up ones lift the limit of no active client and take no memory', { timeout: 120_000 }, async t => {
  const memory = createLocalMemory(64 * MEBIBYTE)
  const limiter = new Family(() => new LimiterPool(memory, KEYS), true).create('test', { maxRequests: LIMIT, window: '1h' })

  for (let n = 0; n < KEYS; n++) limiter.take(address(10, n), LIMIT)
  const { records, capacity, evictions } = limiter.stats()
  t.equal(capacity, KEYS)
  t.ok(records + evictions === KEYS && evictions < KEYS / 10_000, `${evictions} of a million had to go, as hashes do not fill all shards alike`)
  const { used } = memory.allocator.usage()
  t.comment(`${(used / KEYS).toFixed(1)} bytes per key`)
  t.ok(used / KEYS <= BYTES_PER_KEY)

  const active = Array.from({ length: ACTIVE }, (_, n) => address(172, n))
  for (const client of active) limiter.take(client, LIMIT)
  const rss = process.memoryUsage.rss()
  const every = MADE_UP / (ACTIVE * ASKS)
  let lifted = 0
  for (let n = 0; n < MADE_UP; n++) {
    limiter.take(address(192, n))
    if (n % every === 0 && limiter.take(active[n / every % ACTIVE]!).allowed) lifted++
  }
  t.equal(lifted, 0)
  for (const client of active) if (limiter.take(client).allowed) lifted++
  t.equal(lifted, 0)
  t.ok(limiter.take(address(10, 0), LIMIT).allowed, 'whom nobody saw for three million requests is forgotten')

  t.ok(limiter.stats().evictions > MADE_UP * 0.9)
  t.equal(memory.allocator.usage().used, used)
  const grown = process.memoryUsage.rss() - rss
  t.comment(`resident memory grew by ${(grown / MEBIBYTE).toFixed(1)} MiB`)
  t.ok(grown < RSS_GROWTH_AT_MOST)
})
