import fp from 'fastify-plugin'
import type { FastifyPluginAsync } from 'fastify'
import type { FastifyCookieOptions } from '@fastify/cookie'
import type { FastifySessionOptions } from '@fastify/session'
import { OptionsInvalidError } from '../errors.ts'
import { resolveOptions } from '../options/index.ts'
import { showValue } from '../options/show.ts'
import type { ResolvedOptions, SwooleOptions } from '../options/index.ts'
import { importOptional } from '../packages.ts'
import { memoryFor } from '../shared-memory/index.ts'
import { defaultSize } from './memory.ts'
import { FAILED, HIDDEN, savingHooks } from './saving.ts'
import { CookieSigner } from './signer.ts'
import { SessionStore } from './store.ts'

export { defaultSize } from './memory.ts'
export { SessionStore } from './store.ts'
export type { SessionStats, StoreOptions } from './store.ts'

/** The block `session` of the options. */
export type SessionOptions = Exclude<SwooleOptions['session'], false | undefined>

declare module 'fastify' {
  interface FastifyInstance {
    /** The store that `request.session` of all workers is in. */
    sessions: SessionStore
  }
}

type Resolved = Exclude<ResolvedOptions['session'], false>

const session: FastifyPluginAsync<SessionOptions> = async (fastify, given) => {
  const memory = memoryFor(fastify.server)
  const { secret, ttl, rolling, saveUninitialized, size, maxBytes, cookieName, cookie } = resolve(given, memory.region.bytes)
  const [{ default: cookiePlugin }, { default: sessionPlugin }] = await importOptional('The option session', ['@fastify/session', '@fastify/cookie'], () => Promise.all([import('@fastify/cookie'), import('@fastify/session')]))
  const store = new SessionStore(memory, { ttl, size, maxBytes, log: fastify.log })
  fastify.decorate('sessions', store)
  fastify.decorateRequest(HIDDEN, null)
  fastify.decorateRequest(FAILED, false)

  if (!fastify.hasPlugin('@fastify/cookie')) await fastify.register(cookiePlugin as unknown as FastifyPluginAsync<FastifyCookieOptions>)
  const { before, after } = savingHooks({ store, cookieName, rolling, saveUninitialized })
  fastify.addHook('onSend', before)
  await fastify.register(sessionPlugin as unknown as FastifyPluginAsync<FastifySessionOptions>, {
    secret: new CookieSigner(secret),
    store,
    cookieName,
    cookie: { ...cookieOptions(cookie), maxAge: cookie.persistent ? ttl : undefined },
    rolling: false,
    saveUninitialized
  })
  if (rolling) {
    fastify.addHook('onRequest', (request, _reply, done) => {
      const { session } = request
      if (session?.encryptedSessionId) store.prolong(session.sessionId, session)
      done()
    })
  }
  fastify.addHook('onSend', after)
  fastify.addHook('onClose', async () => memory.close())
}

function resolve (given: SessionOptions, memoryBytes: number): Resolved & { secret: string[], size: number } {
  const options = resolveOptions({ session: given }).session as Resolved
  const { secret, maxBytes } = options
  const size = options.size ?? defaultSize(memoryBytes)
  if (secret === null) throw new OptionsInvalidError('session.secret is missing: give a string of at least 32 characters, best with the environment variable FASTIFY_SWOOLE_SESSION_SECRET')
  if (maxBytes > size / 4) throw new OptionsInvalidError(`session.maxBytes is ${maxBytes}, but must be at most a quarter of session.size, which is ${size}`)
  requireCookie(options)
  return { ...options, size, secret: [secret].flat() }
}

/** Browsers refuse such cookies without a word, and each request would begin another session. */
function requireCookie ({ cookieName, cookie: { secure, sameSite, partitioned, path, domain } }: Resolved): void {
  const needsSecure = sameSite === 'none' ? 'session.cookie.sameSite is "none"' : partitioned ? 'session.cookie.partitioned is true' : /^__(Host|Secure)-/i.test(cookieName) ? `session.cookieName is ${showValue(cookieName)}` : undefined
  if (secure === false && needsSecure !== undefined) throw new OptionsInvalidError(`${needsSecure}, for which browsers want session.cookie.secure, which is false: leave that out, or set it to true`)
  if (/^__Host-/i.test(cookieName) && (path !== '/' || domain !== null)) throw new OptionsInvalidError(`session.cookieName is ${showValue(cookieName)}, for which browsers want session.cookie.path to be "/" and no session.cookie.domain: give it another name`)
}

function cookieOptions ({ persistent, domain, partitioned, ...options }: Resolved['cookie']) {
  return { ...options, ...(domain === null ? {} : { domain }), ...(partitioned ? { partitioned } : {}) }
}

export default fp(session, { fastify: '5.x', name: 'fastify-swoole-session' })
