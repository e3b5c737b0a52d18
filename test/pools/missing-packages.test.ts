import Fastify from 'fastify'
import { registerHooks } from 'node:module'
import t from 'tap'
import { importOptional } from '../../plugins/packages.ts'
import swoole from '../../plugins/swoole.ts'

const PACKAGES = { postgresql: ['@fastify/postgres', 'pg'], mysql: ['@fastify/mysql', 'mysql2'], redis: ['@fastify/redis', 'ioredis'] } as const
const NAMES = { postgresql: 'PostgreSQL', mysql: 'MySQL', redis: 'Redis' } as const

/** A package that cannot be found, as if it were not installed. */
function withoutPackage (t: { teardown (end: () => void): void }, missing: string): void {
  const hooks = registerHooks({
    resolve (specifier, context, next) {
      if (specifier === missing) throw Object.assign(new Error(`Cannot find package '${missing}'`), { code: 'ERR_MODULE_NOT_FOUND' })
      return next(specifier, context)
    }
  })
  t.teardown(() => hooks.deregister())
}

t.test('an application without pools needs none of the packages', async t => {
  for (const name of Object.values(PACKAGES).flat()) withoutPackage(t, name)
  const fastify = Fastify()
  await fastify.register(swoole, { database: {} })
  await fastify.close()
})

for (const kind of ['postgresql', 'mysql', 'redis'] as const) {
  const [one, other] = PACKAGES[kind]
  for (const name of [one, other]) {
    t.test(`${kind} without the package ${name}: it is said what to install`, async t => {
      withoutPackage(t, name)
      const fastify = Fastify()
      t.teardown(() => fastify.close())
      await t.rejects(async () => { await fastify.register(swoole, { database: { [kind]: {} } }) }, {
        code: 'FST_SWOOLE_PACKAGE_MISSING',
        message: `A ${NAMES[kind]} pool needs ${one} and ${other}: npm install ${one} ${other}`
      })
    })
  }
}

t.test('an error within a package is not taken for its absence', async t => {
  const error = new SyntaxError('within')
  await t.rejects(importOptional('A pool', ['one'], () => Promise.reject(error)), error)
})
