import fastify from 'fastify'
import { Redis } from 'ioredis'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import redis from '../../plugins/redis/index.ts'
import { startOwnServer } from '../support/database-servers.ts'
import { eventually } from '../support/processes.ts'

const SLOTS = 16_384

interface Test {
  teardown (end: () => unknown): void
}

/** Runs one command on a server, over a connection of its own. */
async function command (port: number, ...command: Array<string | number>): Promise<unknown> {
  const client = new Redis({ port, host: '127.0.0.1', lazyConnect: true })
  client.on('error', () => {})
  try {
    await client.connect()
    return await client.call(...command as [string])
  } finally {
    client.disconnect()
  }
}

/** Three masters that share the slots. */
async function startCluster (t: Test): Promise<number[]> {
  const servers = await Promise.all([1, 2, 3].map(() => startOwnServer('redis', (usual) => [...usual, '--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'])))
  for (const { remove } of servers) t.teardown(remove)
  const ports = servers.map(({ port }) => port)
  const part = Math.ceil(SLOTS / ports.length)
  for (const [n, port] of ports.entries()) {
    await command(port, 'cluster', 'addslotsrange', n * part, Math.min((n + 1) * part, SLOTS) - 1)
    if (n > 0) await command(ports[0]!, 'cluster', 'meet', '127.0.0.1', port)
  }
  for (const port of ports) {
    await eventually('the cluster is whole', async () => {
      const info = String(await command(port, 'cluster', 'info'))
      return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3')
    })
  }
  return ports
}

t.test('a pool of a Redis Cluster: commands, pipelines and lent connections reach all nodes', { timeout: 60_000 }, async (t) => {
  const ports = await startCluster(t)
  const app = fastify()
  t.teardown(() => app.close())
  // It learns the others from the first.
  await app.register(redis, { cluster: [`127.0.0.1:${ports[0]}`], poolSize: 3 })
  const { redis: pool } = app.pools
  for (let n = 0; n < 60; n++) await pool.set(`key-${n}`, `value ${n}`)
  for (let n = 0; n < 60; n++) t.equal(await pool.getValue(`key-${n}`), `value ${n}`)
  const sizes = await Promise.all(ports.map((port) => command(port, 'dbsize')))
  t.ok(sizes.every((size) => Number(size) > 5), `keys are at all nodes: ${sizes.join(', ')}`)

  const answers = await pool.pipeline((pipe) => {
    pipe.incr('{one}count')
    pipe.lpush('{one}count', 'x')
    pipe.incr('{one}count')
  })
  t.match(answers, [1, { message: /WRONGTYPE/ }, 2])
  t.strictSame(await pool.withConnection(async (client) => await client.multi().set('{two}a', '1').get('{two}a').exec()), [[null, 'OK'], [null, '1']])
  t.equal(pool.getStats().current, 2, 'the shared one, and the lent one')
  t.equal(await (app as never as { redis: Redis }).redis.get('key-7'), 'value 7', 'fastify.redis is the same client')
})

t.test('a cluster that is not there ends the start in time', async (t) => {
  const server = await startOwnServer('redis')
  await server.remove()
  const app = fastify()
  t.teardown(() => app.close())
  await t.rejects(async () => await app.register(redis, { cluster: [`127.0.0.1:${server.port}`], timeout: '500ms' }), { code: 'FST_SWOOLE_POOL_TIMEOUT', message: /Redis Cluster at 127\.0\.0\.1/ })
})

t.test('a pool that asks sentinels follows the master to another server', { timeout: 90_000 }, async (t) => {
  const master = await startOwnServer('redis')
  t.teardown(() => master.remove())
  const replica = await startOwnServer('redis', (usual) => [...usual, '--replicaof', `127.0.0.1 ${master.port}`])
  t.teardown(() => replica.remove())
  // It writes there what it learns.
  const folder = mkdtempSync(join(tmpdir(), 'swoole-sentinel-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  chmodSync(folder, 0o777)
  const configuration = join(folder, 'sentinel.conf')
  writeFileSync(configuration, [
    `sentinel monitor orders 127.0.0.1 ${master.port} 1`,
    'sentinel down-after-milliseconds orders 500',
    'sentinel failover-timeout orders 3000',
    ''
  ].join('\n'))
  chmodSync(configuration, 0o666)
  const sentinel = await startOwnServer('redis', (_usual, port) => [configuration, '--sentinel', '--port', String(port), '--bind', '127.0.0.1'])
  t.teardown(() => sentinel.remove())
  await eventually('the sentinel knows the replica', async () => ((await command(sentinel.port, 'sentinel', 'replicas', 'orders')) as unknown[]).length === 1)

  const app = fastify()
  t.teardown(() => app.close())
  await app.register(redis, { sentinels: [`127.0.0.1:${sentinel.port}`], sentinelName: 'orders', poolSize: 3 })
  const { redis: pool } = app.pools
  await pool.set('before', '1')
  await eventually('the replica has it', async () => await command(replica.port, 'get', 'before') === '1')
  await master.stop({ crash: true })
  await eventually('commands go to the new master', async () => await pool.set('after', '2').then(() => true, () => false))
  t.equal(await command(replica.port, 'get', 'after'), '2')
  t.equal(await pool.getValue('before'), '1')
  t.equal(await pool.withConnection(async (client) => await client.get('after')), '2', 'and lent connections too')
})
