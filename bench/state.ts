/* What cache, sessions and limits cost beside an LRU in one process, the plugins that they take the place of, LMDB and Redis. */
import { runParts } from './measure/parts.ts'
import { compareCache } from './state/parts/cache.ts'
import { compareEndpoint } from './state/parts/endpoint.ts'
import { compareHitRatio } from './state/parts/hit-ratio.ts'
import { compareLimitedRoute } from './state/parts/limited-route.ts'
import { compareLimiter } from './state/parts/limiter.ts'
import { compareMemory } from './state/parts/memory.ts'
import { compareSession } from './state/parts/session.ts'

const PARTS = {
  limiter: compareLimiter,
  limitedRoute: compareLimitedRoute,
  cache: compareCache,
  hitRatio: compareHitRatio,
  memory: compareMemory,
  session: compareSession,
  endpoint: compareEndpoint
}

export const run = (): Promise<void> => runParts('state', PARTS, ['ioredis', 'lru-cache', 'lmdb', '@fastify/rate-limit', '@fastify/session'])
