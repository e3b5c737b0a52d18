/* What limits cost beside a Map, @fastify/rate-limit and Redis. */
import { runParts } from './measure/parts.ts'
import { compareLimitedRoute } from './state/parts/limited-route.ts'
import { compareLimiter } from './state/parts/limiter.ts'

const PARTS = {
  limiter: compareLimiter,
  limitedRoute: compareLimitedRoute
}

export const run = (): Promise<void> => runParts('state', PARTS, ['ioredis', '@fastify/rate-limit'])
