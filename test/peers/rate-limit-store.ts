import { createRequire } from 'node:module'
import { LimiterPool } from '../../plugins/rate-limiter/pool.ts'
import { FixedWindowStore } from '../../plugins/rate-limiter/store.ts'
import type { StoreOptions } from '../../plugins/rate-limiter/store.ts'
import { createLocalMemory } from '../../plugins/shared-memory/index.ts'

/* Loaded before a test of @fastify/rate-limit: puts our store in the place of the one that it has by default. */
const require = createRequire(import.meta.url)
const place = require.resolve('@fastify/rate-limit').replace(/index\.js$/, 'store/LocalStore.js')

class Store extends FixedWindowStore {
  constructor (continueExceeding: boolean, exponentialBackoff: boolean) {
    const pool = new LimiterPool(createLocalMemory(4 * 1024 * 1024), 5000)
    const options: StoreOptions = { continueExceeding, exponentialBackoff }
    super(() => pool, options)
  }
}

require(place)
require.cache[place]!.exports = Store
