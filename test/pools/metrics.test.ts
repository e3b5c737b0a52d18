import fastify from 'fastify'
import metrics from 'fastify-metrics'
import t from 'tap'
import redis from '../../plugins/redis/index.ts'

async function figures (app: { inject (url: string): Promise<{ body: string }> }): Promise<string[]> {
  const { body } = await app.inject('/metrics')
  return body.split('\n').filter((line) => line.startsWith('swoole_pool_'))
}

t.test('the figures of all pools are among those that fastify-metrics collects', async (t) => {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(redis, { poolSize: 3 })
  await app.register(redis, { poolSize: 5, name: 'sessions' })
  // Registered after them: the order does not matter.
  await app.register(metrics as never, { endpoint: '/metrics', defaultMetrics: { enabled: false } } as never)
  await app.ready()
  const lent = await app.pools.redis.get()
  t.strictSame((await figures(app)).sort(), [
    ...['redis', 'sessions'].flatMap((pool) => [
      `swoole_pool_size{pool="${pool}"} ${pool === 'redis' ? 3 : 5}`,
      `swoole_pool_connections{pool="${pool}",state="available"} 0`,
      `swoole_pool_connections{pool="${pool}",state="in_use"} ${pool === 'redis' ? 2 : 1}`,
      `swoole_pool_waiting{pool="${pool}"} 0`,
      `swoole_pool_opened_total{pool="${pool}"} ${pool === 'redis' ? 2 : 1}`,
      `swoole_pool_closed_total{pool="${pool}"} 0`,
      `swoole_pool_failures_total{pool="${pool}"} 0`,
      `swoole_pool_timeouts_total{pool="${pool}"} 0`
    ])
  ].sort())
  app.pools.redis.put(lent)
  t.match(await figures(app), [/./], 'a second look counts nothing twice')
  t.ok((await figures(app)).includes('swoole_pool_opened_total{pool="redis"} 2'))
})

t.test('an application that closes takes its pools out of the register, which others share', async (t) => {
  const first = fastify()
  await first.register(metrics as never, { endpoint: '/metrics', defaultMetrics: { enabled: false }, routeMetrics: { enabled: false } } as never)
  await first.register(redis, { name: 'first' })
  await first.ready()
  const second = fastify()
  t.teardown(() => second.close())
  await second.register(metrics as never, { endpoint: '/metrics', defaultMetrics: { enabled: false }, routeMetrics: { enabled: false } } as never)
  await second.register(redis, { name: 'second' })
  await second.ready()
  await first.close()
  const pools = (await figures(second)).map((line) => /pool="(\w+)"/.exec(line)?.[1])
  t.strictSame([...new Set(pools)], ['second'])
})
