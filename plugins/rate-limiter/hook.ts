import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { RateLimitedError } from '../errors.ts'
import { clientKey } from './client-key.ts'
import type { SharedRateLimiter, Verdict } from './memory.ts'

/** What a route says in `config.rateLimiter`, beside the limit itself. */
export interface RouteLimit {
  /** Whose bucket the request takes from; by default the client's address, of IPv6 its /64. Undefined: the request is not limited. */
  keyGenerator?: (request: FastifyRequest) => string | undefined
  /** Tokens that a request takes; 1 by default. */
  cost?: number
}

/**
 * Admits a request, or answers it with 429 FST_SWOOLE_RATE_LIMITED. Both tell the client how it stands, in the fields of
 * draft-ietf-httpapi-ratelimit-headers and in the older X-RateLimit ones.
 */
export function limitHook (limiter: SharedRateLimiter, { keyGenerator = addressOf, cost }: RouteLimit): onRequestHookHandler {
  const { maxRequests, windowMs } = limiter.rate
  const name = `"${limiter.name.replace(/[^ !#-[\]-~]/g, '_')}"`
  const policy = `${name};q=${maxRequests};w=${Math.max(1, Math.round(windowMs / 1000))}`
  const limit = String(maxRequests)
  // Most clients stand as the one before: at their first request, or with nothing left.
  let told = { remaining: -1, reset: -1, fields: '', remainingText: '', resetText: '' }

  return (request, reply, done) => {
    let verdict: Verdict
    try {
      const key = keyGenerator(request)
      if (key === undefined) return done()
      verdict = limiter.take(key, cost)
    } catch (error) {
      return done(error as Error)
    }
    tell(reply, verdict)
    if (verdict.allowed) return done()
    const retryAfter = secondsOf(verdict.retryAfterMs)
    reply.header('retry-after', retryAfter)
    done(new RateLimitedError(retryAfter))
  }

  function tell (reply: FastifyReply, { remaining, resetMs }: Verdict): void {
    const reset = secondsOf(resetMs)
    if (remaining !== told.remaining || reset !== told.reset) {
      told = { remaining, reset, fields: `${name};r=${remaining};t=${reset}`, remainingText: String(remaining), resetText: String(reset) }
    }
    reply.header('ratelimit-policy', policy)
    reply.header('ratelimit', told.fields)
    reply.header('x-ratelimit-limit', limit)
    reply.header('x-ratelimit-remaining', told.remainingText)
    reply.header('x-ratelimit-reset', told.resetText)
  }
}

/** Over a Unix socket nobody has an address: all of them are one client. */
const addressOf = (request: FastifyRequest): string => clientKey(request.ip as string | undefined ?? '')

const secondsOf = (ms: number): number => Math.ceil(ms / 1000)
