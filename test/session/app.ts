import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { Writable } from 'node:stream'
import session from '../../plugins/session/index.ts'
import type { SessionOptions } from '../../plugins/session/index.ts'

export const SECRET = 'a secret of at least 32 characters'
export const NEW_SECRET = 'another secret of as many characters'

declare module 'fastify' {
  interface Session {
    n?: number
    text?: string
    visits?: Map<string, number>
    [name: string]: unknown
  }
}

/** An application, and a browser that keeps its cookie. */
export async function serve (options: SessionOptions = {}, log: string[] = []) {
  const stream = new Writable({ write (line, _encoding, done) { log.push(String(line)); done() } })
  const fastify = Fastify({ logger: { level: 'warn', stream }, trustProxy: true })
  await fastify.register(session, { secret: SECRET, ...options })
  fastify.get('/', async ({ session }) => ({ n: session.n ?? null }))
  fastify.get('/count', async ({ session }) => { session.n = (session.n ?? 0) + 1; return session.n })
  fastify.get('/large', async ({ session }) => { session.text = 'x'.repeat(100_000) })
  fastify.get('/out', async ({ session }) => { await session.destroy(); return 'out' })
  fastify.get('/regenerate', async (request) => { await request.session.regenerate(['n']); return request.session.sessionId })
  fastify.get('/visit', async ({ session }) => {
    session.visits ??= new Map()
    session.visits.set('here', (session.visits.get('here') ?? 0) + 1)
    return session.visits.get('here')
  })
  return { fastify, ...browser(fastify) }
}

export function browser (fastify: FastifyInstance, jar = new Map<string, string>()) {
  const get = async (url: string, headers: Record<string, string> = {}) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('; ')
    const response = await fastify.inject({ url, headers: { ...(cookie === '' ? {} : { cookie }), ...headers } })
    for (const { name, value, expires } of response.cookies) {
      if (value === '' || (expires !== undefined && expires <= new Date())) jar.delete(name)
      else jar.set(name, value)
    }
    return response
  }
  return { get, jar }
}

export function clock (t: { teardown (end: () => void): void }) {
  const { now } = Date
  const RealDate = Date
  let ahead = 0
  globalThis.Date = new Proxy(RealDate, {
    construct: (_target, given: unknown[]) => Reflect.construct(RealDate, given.length === 0 ? [now() + ahead] : given),
    get: (_target, name) => name === 'now' ? () => now() + ahead : Reflect.get(RealDate, name)
  })
  t.teardown(() => { globalThis.Date = RealDate })
  return { pass (ms: number) { ahead += ms } }
}
