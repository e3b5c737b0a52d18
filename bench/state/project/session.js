/* One small route, and whether its requests have a session. */
import swoole from 'fastify-swoole'

const schema = { response: { 200: { type: 'object', properties: { hello: { type: 'string' } } } } }
const secret = 'a secret of the benchmark that is long enough'
const USER = { id: 4711, name: 'Ann Other', roles: ['editor', 'reader'], language: 'en' }

async function theirs (fastify, store) {
  const [cookie, session] = await Promise.all([import('@fastify/cookie'), import('@fastify/session')])
  await fastify.register(swoole)
  await fastify.register(cookie.default)
  await fastify.register(session.default, { secret, cookie: { secure: false, maxAge: 3_600_000 }, ...store && { store } })
}

const variants = {
  'no session': (fastify) => fastify.register(swoole),
  'session, only read': (fastify) => fastify.register(swoole, { session: { secret } }),
  session: (fastify) => fastify.register(swoole, { session: { secret } }),
  '@fastify/session in memory': (fastify) => theirs(fastify),
  async '@fastify/session on Redis' (fastify) {
    const [{ Redis }, { RedisStore }] = await Promise.all([import('ioredis'), import('fastify-session-redis-store')])
    const redis = new Redis({ host: '127.0.0.1' })
    fastify.addHook('onClose', () => redis.disconnect())
    await theirs(fastify, new RedisStore({ client: redis, prefix: 'fastify-swoole-bench:session:' }))
  }
}

async function none () {
  return { hello: 'world' }
}

async function read (request) {
  request.session.user ??= USER
  return { hello: 'world' }
}

async function written (request) {
  request.session.user ??= USER
  request.session.views = (request.session.views ?? 0) + 1
  return { hello: 'world' }
}

export const options = { logger: false }

export default async function app (fastify, _options) {
  const { VARIANT } = process.env
  await variants[VARIANT](fastify)
  fastify.get('/', { schema }, VARIANT === 'no session' ? none : VARIANT.endsWith('only read') ? read : written)
}
