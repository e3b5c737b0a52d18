import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction, onRequestHookHandler } from 'fastify'
import type { AnyRequest } from '../any-request.ts'
import { applicationFault, isPromise } from '../application-fault.ts'
import { RateLimitedError, ValueInvalidError } from '../errors.ts'
import { clientKey } from './client-key.ts'
import type { SharedRateLimiter, Verdict } from './memory.ts'
import { ReplyFields } from './reply-fields.ts'

/** Which fields tell a client how it stands: those of the IETF's draft, the older X-RateLimit ones, both, or none. */
export const LIMIT_HEADERS = ['all', 'draft', 'legacy', 'none'] as const
export type LimitHeaders = typeof LIMIT_HEADERS[number]

/** Most clients have taken little: what those are told who have taken less than so many tokens is kept. */
const KEPT_TEXTS = 256

/** What a route says in `config.rateLimiter`, beside the limit itself. */
export interface RouteLimit {
  /** Whose bucket the request takes from; by default the client's address, of IPv6 its /64. Undefined: the request is not limited. */
  keyGenerator?: (request: AnyRequest) => string | undefined | Promise<string | undefined>
  /** Tokens that a request takes; 1 by default. */
  cost?: number
  /** Default: the plugin's option `headers`. */
  headers?: LimitHeaders
}

/**
 * Admits a request, or answers it with 429 FST_SWOOLE_RATE_LIMITED and Retry-After. Both tell the client how it stands, in the
 * fields of draft-ietf-httpapi-ratelimit-headers and in the older X-RateLimit ones, or in those that are asked for.
 */
export function limitHook (limiter: SharedRateLimiter, { keyGenerator = addressOf, cost, headers = 'all' }: RouteLimit): onRequestHookHandler {
  const { maxRequests, windowMs } = limiter.rate
  const name = `"${limiter.name.replace(/[^ !#-[\]-~]/g, '_')}"`
  const policy = `${name};q=${maxRequests};w=${Math.max(1, Math.round(windowMs / 1000))}`
  const limit = String(maxRequests)
  const hasDraft = headers === 'all' || headers === 'draft'
  const hasLegacy = headers === 'all' || headers === 'legacy'
  const texts: ({ reset: number, draft: string, left: string, seconds: string } | undefined)[] = Array(KEPT_TEXTS).fill(undefined)
  const replyFields = new ReplyFields()

  return (request, reply, done) => {
    let key: ReturnType<typeof keyGenerator>
    try {
      key = keyGenerator(request)
    } catch (error) {
      return done(error as Error)
    }
    if (typeof key === 'string' || !isPromise(key)) admit(key, reply, done)
    else key.then((key) => admit(key, reply, done), done)
  }

  function admit (key: string | undefined, reply: FastifyReply, done: HookHandlerDoneFunction): void {
    if (key === undefined) return done()
    let verdict: Verdict
    try {
      verdict = limiter.take(key, cost)
    } catch (error) {
      return done(error instanceof ValueInvalidError ? applicationFault(error) : error as Error)
    }
    if (hasDraft || hasLegacy) tell(reply, verdict)
    if (verdict.allowed) return done()
    // A millisecond may be of rounding.
    const retryAfter = Math.max(1, secondsOf(verdict.retryAfterMs - 1))
    reply.header('retry-after', retryAfter)
    done(new RateLimitedError(retryAfter))
  }

  function tell (reply: FastifyReply, { remaining, resetMs }: Verdict): void {
    const reset = secondsOf(resetMs)
    const out = maxRequests - remaining
    let text = out < KEPT_TEXTS ? texts[out] : undefined
    if (text === undefined || text.reset !== reset) {
      text = { reset, draft: `${name};r=${remaining};t=${reset}`, left: String(remaining), seconds: String(reset) }
      if (out < KEPT_TEXTS) texts[out] = text
    }
    const kept = replyFields.of(reply)
    const fields = kept ?? {}
    if (hasDraft) {
      fields['ratelimit-policy'] = policy
      fields['ratelimit'] = text.draft
    }
    if (hasLegacy) {
      fields['x-ratelimit-limit'] = limit
      fields['x-ratelimit-remaining'] = text.left
      fields['x-ratelimit-reset'] = text.seconds
    }
    if (kept === undefined) replyFields.set(reply, fields)
  }
}

/** Over a Unix socket nobody has an address: all of them are one client. */
const addressOf = (request: FastifyRequest): string => clientKey(request.ip as string | undefined ?? '')

const secondsOf = (ms: number): number => Math.ceil(ms / 1000)
