import fp from 'fastify-plugin'
import type { FastifyPluginAsync } from 'fastify'
import { OptionsInvalidError } from '../errors.ts'
import { resolveOptions } from '../options/index.ts'
import type { Bytes, Duration, ResolvedOptions } from '../options/index.ts'
import { showValue } from '../options/show.ts'
import { memoryFor } from '../shared-memory/index.ts'
import { cacheAnswers } from './http/index.ts'
import { SharedCache } from './memory.ts'
import { CacheStore } from './store.ts'

export type { CacheItem, GetOptions, KeepOptions } from './item.ts'
export type { RouteCache } from './http/index.ts'
export type { Compute, SharedCache } from './memory.ts'

export interface CacheOptions {
  /** Bytes of shared memory for all entries: 256 KiB to `memory.size`. Default: a quarter of that. A value has a quarter of this at most. */
  size?: Bytes | null
  /** How long a value is fresh that does not say. Default '1h'. */
  ttl?: Duration
  /** How long a worker waits for a value that another one computes, before it computes that itself. Default '30s'. */
  computeTimeout?: Duration
  /** Whether a reload clears values as it clears HTTP answers. Default false. */
  clearOnReload?: boolean
}

declare module 'fastify' {
  interface FastifyInstance {
    /** A cache that all workers share. After the original's `SwooleCacheAdapter`. */
    cache: SharedCache
  }
}

const LEAST_SIZE = 256 * 1024

const cache: FastifyPluginAsync<CacheOptions> = async (fastify, given) => {
  const options = resolveOptions({ cache: given }).cache as Exclude<ResolvedOptions['cache'], false>
  const { ttl: ttlMs, computeTimeout: computeTimeoutMs, clearOnReload } = options
  const memory = memoryFor(fastify.server)
  const size = options.size ?? Math.max(LEAST_SIZE, memory.region.bytes / 4)
  if (size >= memory.region.bytes) {
    throw new OptionsInvalidError(`cache.size is ${showValue(given.size)}, but must be less than memory.size, which is ${memory.region.bytes} bytes`)
  }
  const store = new CacheStore(memory, { size, clearOnReload }, fastify.log)
  fastify.decorate('cache', new SharedCache(store, { ttlMs, computeTimeoutMs }))
  cacheAnswers(fastify, () => store, ttlMs)
  fastify.addHook('onClose', async () => memory.close())
}

export default fp(cache, { fastify: '5.x', name: 'fastify-swoole-cache' })
