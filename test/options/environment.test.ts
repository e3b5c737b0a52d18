import Fastify from 'fastify'
import t from 'tap'
import { environmentName } from '../../plugins/options/environment.ts'
import { loadConfiguration, resolveOptions } from '../../plugins/options/index.ts'
import { leaves } from '../../plugins/options/leaves.ts'
import type { Leaf } from '../../plugins/options/leaves.ts'
import swoole from '../../plugins/swoole.ts'
import type { SwooleOptions } from '../../plugins/swoole.ts'

const project = t.testdir({})

async function read (env: NodeJS.ProcessEnv): Promise<any> {
  return (await loadConfiguration({ project, env })).options
}

/** A value that is not the option's default: as text, and as it is resolved. */
function another ({ path, schema }: Leaf): [string, unknown] {
  const types = [schema.type].flat()
  if (schema.unit === 'duration') return ['7s', 7_000]
  if (schema.unit === 'bytes') return ['8mb', 8_388_608]
  if (schema.unit === 'protocols') return ['TLSv1.3', ['TLSv1.3']]
  if (schema.enum !== undefined) return schema.enum.filter(value => value !== schema.default).map(value => [String(value), value] as [string, unknown])[0]!
  if (types.includes('integer') || types.includes('number')) return ['7', 7]
  if (types.includes('boolean')) return [String(!schema.default), !schema.default]
  if (path.at(-1) === 'secret') return [`${'a'.repeat(32)}, ${'b'.repeat(40)}`, ['a'.repeat(32), 'b'.repeat(40)]]
  if (types.includes('array')) return ['/a, /b', ['/a', '/b']]
  if (types.includes('string')) {
    const other = new RegExp(schema.pattern ?? '').test('/other') ? '/other' : 'other'
    return [other, other]
  }
  if (types.includes('object') && path.length > 1) return ['{"keepAlive":false}', { keepAlive: false }]
  t.equal(path.length, 1, 'a block without keys')
  return ['true', {}]
}

t.test('names are spelled from the path', async t => {
  t.equal(environmentName(['engine']), 'FASTIFY_SWOOLE_ENGINE')
  t.equal(environmentName(['performance', 'workerNum']), 'FASTIFY_SWOOLE_PERFORMANCE_WORKER_NUM')
  t.equal(environmentName(['database', 'mysql', 'poolSize']), 'FASTIFY_SWOOLE_DATABASE_MYSQL_POOL_SIZE')
  t.equal(environmentName(['http', 'options', 'openHttp2Protocol']), 'FASTIFY_SWOOLE_HTTP_OPTIONS_OPEN_HTTP2_PROTOCOL')
  t.equal(new Set(leaves().map(leaf => environmentName(leaf.path))).size, leaves().length, 'no two options share one')
})

for (const leaf of leaves()) {
  const name = environmentName(leaf.path)

  t.test(`${name} sets ${leaf.path.join('.')}`, async t => {
    const [text, value] = another(leaf)
    const options = await read({ [name]: text })
    t.strictSame(leaf.path.reduce((node, segment) => node[segment], options), value)
  })

  if ([leaf.schema.type].flat().includes('null')) {
    t.test(`${name} can be null`, async t => {
      for (const text of ['', 'null']) {
        t.equal(leaf.path.reduce((node, segment) => node[segment], await read({ [name]: text })), null)
      }
    })
  }
}

t.test('values are read by the type of their option', async t => {
  t.equal((await read({ FASTIFY_SWOOLE_HTTP_PORT: '0' })).http.port, 0)
  for (const text of ['true', 'TRUE', '1']) t.equal((await read({ FASTIFY_SWOOLE_PERFORMANCE_DAEMONIZE: text })).performance.daemonize, true)
  for (const text of ['false', '0']) t.equal((await read({ FASTIFY_SWOOLE_HOT_RELOAD_ENABLED: text })).hotReload.enabled, false)
  t.equal((await read({ FASTIFY_SWOOLE_PERFORMANCE_STUCK_TIMEOUT: '1500' })).performance.stuckTimeout, 1_500)
  t.equal((await read({ FASTIFY_SWOOLE_MEMORY_SIZE: '2097152' })).memory.size, 2_097_152)
  t.strictSame((await read({ FASTIFY_SWOOLE_HOT_RELOAD_WATCH: '' })).hotReload.watch, [])
  t.strictSame((await read({ FASTIFY_SWOOLE_HTTPS_PROTOCOLS: 'TLSv1.2,TLSv1.3' })).https.protocols, ['TLSv1.2', 'TLSv1.3'])
  t.strictSame((await read({ FASTIFY_SWOOLE_HTTPS_PROTOCOLS: 'TLSv1.2 | TLSv1.3' })).https.protocols, ['TLSv1.2', 'TLSv1.3'])
  t.equal((await read({ FASTIFY_SWOOLE_DATABASE_MYSQL_PASSWORD: '12345' })).database.mysql.password, '12345')
})

t.test('a block is switched as a whole, and a key inside it switches it on', async t => {
  t.equal((await read({ FASTIFY_SWOOLE_METRICS: 'false' })).metrics, false)
  t.strictSame((await read({ FASTIFY_SWOOLE_HEALTH: 'true' })).health, { live: '/livez', ready: '/readyz' })
  t.strictSame((await read({ FASTIFY_SWOOLE_HEALTH_LIVE: '/up', FASTIFY_SWOOLE_HEALTH: '1' })).health, { live: '/up', ready: '/readyz' })
})

const refused: Array<[string, string, string]> = [
  ['FASTIFY_SWOOLE_HTTP_PORT', 'abc', 'is "abc", but must be an integer from 0 to 65535'],
  ['FASTIFY_SWOOLE_HTTP_PORT', '', 'is "", but must be an integer from 0 to 65535'],
  ['FASTIFY_SWOOLE_HTTP_PORT', '70000', 'is 70000, but must be an integer from 0 to 65535'],
  ['FASTIFY_SWOOLE_HTTP_PORT', '0x50', 'is "0x50", but must be an integer from 0 to 65535'],
  ['FASTIFY_SWOOLE_PERFORMANCE_DAEMONIZE', 'yes', 'is "yes", but must be true or false'],
  ['FASTIFY_SWOOLE_ENGINE', 'sqlite', 'is "sqlite", but must be one of "memory", "redis"'],
  ['FASTIFY_SWOOLE_SCHEDULER', 'maybe', 'is "maybe", but must be an object, or false'],
  ['FASTIFY_SWOOLE_SESSION_SECRET', 'short', 'is [hidden], but must be a string of at least 32 characters, or a list of such, or null'],
  ['FASTIFY_SWOOLE_SESSION_COOKIE_SECURE', 'maybe', 'is "maybe", but must be one of true, false, "auto"'],
  ['FASTIFY_SWOOLE_SESSION_COOKIE_NAME', 'a b', 'is "a b", but must be a name that a cookie may have'],
  ['FASTIFY_SWOOLE_HTTPS_PROTOCOLS', 'TLSv1.2,SSLv3', 'is "SSLv3", but must be one of "TLSv1.2", "TLSv1.3"'],
  ['FASTIFY_SWOOLE_PERFORMANCE_WORKERS_NUM', '4', 'sets no option: did you mean FASTIFY_SWOOLE_PERFORMANCE_WORKER_NUM?'],
  ['FASTIFY_SWOOLE_COLOUR', 'red', 'sets no option'],
  ['PORT', 'tcp://10.0.0.1:80', 'is "tcp://10.0.0.1:80", but must be an integer from 0 to 65535'],
  ['PORT', '', 'is "", but must be an integer from 0 to 65535']
]

for (const [name, text, problem] of refused) {
  t.test(`${name}=${text} ${problem}`, async t => {
    await t.rejects(read({ [name]: text }), { code: 'FST_SWOOLE_OPTIONS_INVALID', message: `${name} ${problem} (in the environment)` })
  })
}

t.test('a secret is not shown', async t => {
  await t.rejects(read({ FASTIFY_SWOOLE_HTTP_PORT: 'redis://:hunter2@cache' }), { message: 'FASTIFY_SWOOLE_HTTP_PORT is "[hidden]", but must be an integer from 0 to 65535 (in the environment)' })
})

t.test('PORT is http.port, unless our own variable is set', async t => {
  t.equal((await read({ PORT: '8080' })).http.port, 8080)
  t.equal((await read({ PORT: '8080', FASTIFY_SWOOLE_HTTP_PORT: '9000' })).http.port, 9000)
  t.equal((await read({ PORT: 'nonsense', FASTIFY_SWOOLE_HTTP_PORT: '9000' })).http.port, 9000)
})

t.test('other variables, and the launcher\'s own, are left alone', async t => {
  t.strictSame(await read({ HOME: '/root', FASTIFY_PORT: '1', FASTIFY_SWOOLE_INTERNAL_SLOT: 'x' }), resolveOptions({}))
})

t.test('without the launcher the plugin reads it, before what it is registered with', async t => {
  const { env: outside } = process
  t.teardown(() => { process.env = outside })
  const register = async (env: Record<string, string>, given: SwooleOptions = {}) => {
    process.env = { ...outside, ...env }
    const fastify = Fastify()
    t.teardown(() => fastify.close())
    await fastify.register(swoole, given)
    return fastify.swoole.options
  }
  const secret = 'a secret of at least 32 characters'
  t.match(await register({ FASTIFY_SWOOLE_SESSION_SECRET: secret }, { session: { ttl: '2h' } }), { session: { secret, ttl: 7_200_000 } })
  t.match(await register({ FASTIFY_SWOOLE_CACHE_TTL: '1m', FASTIFY_SWOOLE_HEALTH: 'false' }, { cache: { ttl: '5m' }, health: {} }), { cache: { ttl: 60_000 }, health: false })
  await t.rejects(register({ FASTIFY_SWOOLE_CACHE_TTL: 'soon', FASTIFY_SWOOLE_CASH_TTL: '1m' }), {
    code: 'FST_SWOOLE_OPTIONS_INVALID',
    message: /FASTIFY_SWOOLE_CASH_TTL sets no option.*\n.*FASTIFY_SWOOLE_CACHE_TTL is "soon"/
  })
  t.match(await register({ PORT: '\\\\.\\pipe\\app' }), { http: { port: 9501 } }, 'PORT is for whoever listens')
})
