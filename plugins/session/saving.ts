import type { FastifyReply, FastifyRequest, onSendHookHandler } from 'fastify'
import type {} from '@fastify/cookie'
import type { FastifySessionObject } from '@fastify/session'
import type { Settled } from './memory.ts'
import type { SessionStore } from './store.ts'

export interface SavingOptions {
  store: SessionStore
  cookieName: string
  rolling: boolean
  saveUninitialized: boolean
}

/** The session of a request while the hook of @fastify/session runs. */
export const HIDDEN = Symbol('fastify-swoole.hidden-session')
/** The session of a request could not be saved: nobody tries again for the answer that says so. */
export const FAILED = Symbol('fastify-swoole.failed-session')

type Done = (error?: Error | null) => void
type Request = FastifyRequest & { [HIDDEN]: FastifySessionObject | null, [FAILED]: boolean }

/**
 * Hooks for before and after the one with which @fastify/session saves sessions and sends their cookies, to do it in its
 * stead. It compares digests, in which no change of a Map shows; it sends a cookie with each answer or never again; when
 * the secret has changed it takes the cookie from a session that has not; and it sends one for a session that another
 * request has just destroyed.
 */
export function savingHooks ({ store, cookieName, rolling, saveUninitialized }: SavingOptions): { before: onSendHookHandler, after: onSendHookHandler } {
  const before = (request: Request, reply: FastifyReply, _payload: unknown, done: Done): void => {
    const session = request.session as FastifySessionObject | null
    // Outside of the cookie's path it is a plain object.
    if (!session?.encryptedSessionId) return done()
    if (session.cookie.secure === true && request.protocol !== 'https') return done()
    if (request[FAILED]) return hide(request, done)
    let settled: Settled
    try {
      settled = store.settle(session.sessionId, session, rolling)
    } catch (error) {
      return fail(request, error as Error, done)
    }
    if (settled === 'new') return begin(session, request, reply, done)
    if (settled === 'renewed' || (settled === 'kept' && (session.isSaved() || request.cookies[cookieName] !== session.encryptedSessionId))) sendCookie(session, reply)
    hide(request, done)
  }

  const begin = (session: FastifySessionObject, request: Request, reply: FastifyReply, done: Done): void => {
    // Then @fastify/session takes a cookie away that is of no use.
    if (!saveUninitialized && isEmpty(session)) return done()
    session.save((error?: Error | null) => {
      if (error) return fail(request, error, done)
      sendCookie(session, reply)
      hide(request, done)
    })
  }

  const sendCookie = (session: FastifySessionObject, reply: FastifyReply): void => {
    // It was made when the request began.
    session.touch()
    reply.setCookie(cookieName, session.encryptedSessionId, (session.cookie as unknown as { toJSON (): object }).toJSON())
  }

  const after = (request: Request, _reply: FastifyReply, _payload: unknown, done: Done): void => {
    if (request[HIDDEN] !== null) {
      request.session = request[HIDDEN]
      request[HIDDEN] = null
    }
    done()
  }

  return { before: before as onSendHookHandler, after: after as onSendHookHandler }
}

/** The digest with which @fastify/session tells leaves out bigints, and what is an error when it is stored. */
function isEmpty (session: FastifySessionObject): boolean {
  return Object.entries(session).every(([name, value]) => name === 'cookie' || value === undefined)
}

function hide (request: Request, done: Done): void {
  request[HIDDEN] = request.session
  ;(request as { session: unknown }).session = null
  done()
}

function fail (request: Request, error: Error, done: Done): void {
  request[FAILED] = true
  done(error)
}
