import Fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import { Writable } from 'node:stream'
import cache from '../../plugins/cache/index.ts'
import { CacheStore } from '../../plugins/cache/store.ts'
import { memoryFor } from '../../plugins/shared-memory/index.ts'

interface Test {
  teardown (end: () => unknown): void
  intercept (object: object, property: string, descriptor: PropertyDescriptor): unknown
}

const SIZE = 4 * 1024 * 1024

export interface App {
  fastify: FastifyInstance
  store: CacheStore
  /** What was logged from `warn` on. */
  logged: string[]
}

/** An application with a cache, that ends with the test. `first` registers what comes before it. */
export async function makeApp (t: Test, { first, ...options }: FastifyServerOptions & { first?: (fastify: FastifyInstance) => unknown } = {}): Promise<App> {
  const logged: string[] = []
  const stream = new Writable({
    write (line, _encoding, done) {
      logged.push(String(line))
      done()
    }
  })
  const fastify: FastifyInstance = Fastify({ logger: { level: 'warn', stream }, ...options })
  t.teardown(() => fastify.close())
  await first?.(fastify)
  await fastify.register(cache, { size: SIZE })
  const store = new CacheStore(memoryFor(fastify.server), { size: SIZE, clearOnReload: false }, fastify.log)
  return { fastify, store, logged }
}

/** A clock that goes on as it is told. */
export function setClock (t: Test): { advance (ms: number): void } {
  let ahead = 0
  const now = Date.now
  t.intercept(Date, 'now', { value: () => now() + ahead })
  return { advance: (ms) => { ahead += ms } }
}
