import type { FastifyInstance } from 'fastify'
import fastifySession from '@fastify/session'
import expressSession from 'express-session'
import { expect, test } from 'tstyche'
import session, { SessionStore } from '../../plugins/session/index.ts'
import type { SessionOptions } from '../../plugins/session/index.ts'
import type { SessionStore as Exported, SwooleOptions } from '../../plugins/swoole.ts'

declare const fastify: FastifyInstance
declare const store: SessionStore

test('the store and its figures', () => {
  expect(fastify.sessions).type.toBe<SessionStore>()
  expect<Exported>().type.toBe<SessionStore>()
  expect(fastify.sessions.stats().evictions).type.toBe<number>()
  fastify.get('/', async (request) => { expect(request.session.sessionId).type.toBe<string>() })
})

test('it is a store for @fastify/session and for express-session', () => {
  expect(fastify.register(fastifySession, { secret: 'x', store })).type.not.toRaiseError()
  expect(expressSession({ secret: 'x', store })).type.not.toRaiseError()
  expect(SessionStore).type.not.toBeConstructableWith()
})

test('the options are those of the block', () => {
  expect(fastify.register(session, { secret: ['x'], ttl: '2h', size: '8mb', cookie: { sameSite: 'strict', secure: 'auto' } })).type.not.toRaiseError()
  expect<SwooleOptions['session']>().type.toBeAssignableFrom<SessionOptions | false>()
  expect<SessionOptions>().type.not.toBeAssignableFrom({ ttl: true })
  expect<SessionOptions>().type.not.toBeAssignableFrom({ cookie: { secure: 'never' as const } })
})
