import t from 'tap'
import { resolveOptions } from '../../plugins/options/index.ts'
import type { ResolvedOptions, SwooleOptions } from '../../plugins/options/index.ts'
import { leaves } from '../../plugins/options/leaves.ts'

const pool = {
  url: null,
  host: '127.0.0.1',
  user: null,
  password: null,
  database: null,
  idleTimeout: 60_000,
  maxLifetime: 1_800_000,
  validateAfterIdle: 10_000,
  maxPerMachine: null,
  tls: false,
  clientOptions: {}
}
const statements = { queryTimeout: 60_000, slowQueryMs: 1000 }

const defaults: ResolvedOptions = {
  engine: 'memory',
  http: {
    host: '0.0.0.0',
    port: 9501,
    options: {
      openHttp2Protocol: false,
      openWebsocketProtocol: false,
      enableStaticHandler: false,
      documentRoot: null,
      staticHandlerLocations: ['/assets', '/bundles']
    }
  },
  https: { enabled: false, port: 9502, cert: null, key: null, ca: null, verifyPeer: false, protocols: null },
  http2: { headerTableSize: 4096, initialWindowSize: 65535, maxConcurrentStreams: 128, maxFrameSize: 16384, maxHeaderListSize: 4096 },
  hotReload: { enabled: true, watch: ['src', 'config', 'templates'], interval: 500, polling: false },
  performance: {
    workerNum: null,
    maxRequest: 0,
    enableCoroutine: true,
    maxCoroutine: 100000,
    coroutineHookFlags: null,
    maxConnection: 10000,
    bufferOutputSize: 33554432,
    socketBufferSize: 134217728,
    packageMaxLength: 10485760,
    enableCompression: true,
    compressionLevel: 3,
    compressionMinLength: 20,
    websocketCompression: true,
    daemonize: false,
    heartbeatInterval: 30_000,
    heartbeatIdleTime: 60_000,
    enableReusePort: false,
    threadMode: false,
    baseMode: false,
    maxMemory: null,
    stuckTimeout: 30_000,
    startTimeout: 60_000,
    drainTimeout: 30_000,
    drainIdleTimeout: 5_000,
    readinessDelay: 0,
    crashLimit: 10,
    cacheFolder: 'var/cache',
    front: 'node'
  },
  memory: { size: 67108864, file: null },
  log: { file: null },
  database: {
    enablePool: true,
    mysql: { poolSize: 10, timeout: 5_000, ...pool, ...statements, port: 3306 },
    postgresql: { poolSize: 10, timeout: 5_000, ...pool, ...statements, port: 5432, prepare: true },
    redis: { poolSize: 20, timeout: 3_000, ...pool, port: 6379, database: 0, commandTimeout: 10_000, cluster: null, sentinels: null, sentinelName: 'mymaster' }
  },
  task: { workerNum: 2, maxRequest: 10_000, maxQueued: 100_000, maxPayload: 16_777_216 },
  scheduler: { enabled: true, maxJobs: 1000 },
  rateLimiter: { enabled: true, maxRequests: 100, window: 60_000, global: false, maxKeys: null, headers: 'all' },
  metrics: { enabled: true, exportInterval: 60_000 },
  threadPool: { enabled: false, size: 4 },
  processPool: { enabled: false, size: 4 },
  websocket: { enabled: false, maxFrameSize: 65535, compression: true },
  debug: { enabled: false, enableDd: true, enableVarDump: true },
  cache: { size: null, ttl: 3_600_000, computeTimeout: 30_000, clearOnReload: false },
  session: false,
  dashboard: false,
  health: false
}

function at (options: object, path: readonly string[]): unknown {
  return path.reduce<any>((node, segment) => node[segment], options)
}

const resolved = resolveOptions({})

for (const { path } of leaves()) {
  if (path[0] === 'health' || path[0] === 'session') continue
  t.test(`${path.join('.')} has its default`, async t => {
    const expected = at(defaults, path)
    t.not(expected, undefined)
    t.strictSame(at(resolved, path), expected)
  })
}

t.test('there is nothing but the defaults', async t => {
  t.strictSame(resolved, defaults)
})

t.test('health has its paths once it is given', async t => {
  t.strictSame(resolveOptions({ health: {} }).health, { live: '/livez', ready: '/readyz' })
})

t.test('session has its defaults once it is given', async t => {
  t.strictSame(resolveOptions({ session: {} }).session, {
    secret: null,
    ttl: 3_600_000,
    rolling: true,
    saveUninitialized: false,
    size: null,
    maxBytes: 65_536,
    cookieName: 'sessionId',
    cookie: { path: '/', domain: null, secure: 'auto', httpOnly: true, sameSite: 'lax', partitioned: false, persistent: true }
  })
})

t.test('what was resolved can be resolved again', async t => {
  const once = resolveOptions({ health: {}, session: { secret: ['s'.repeat(32)], ttl: '30d' }, https: { protocols: 'TLSv1.2 | TLSv1.3' }, performance: { maxMemory: '1gb', stuckTimeout: '1.5s' } })
  t.strictSame(resolveOptions(once), once)
})

t.test('the input stays as it is', async t => {
  const input = Object.freeze({ http: Object.freeze({ port: 0 }), performance: Object.freeze({ stuckTimeout: '5s' }) })
  t.equal(resolveOptions(input).performance.stuckTimeout, 5_000)
  t.strictSame(input, { http: { port: 0 }, performance: { stuckTimeout: '5s' } })
})

t.test('a changed list is nobody else\'s default', async t => {
  resolveOptions({}).hotReload.watch.push('mine')
  t.strictSame(resolveOptions({}).hotReload.watch, ['src', 'config', 'templates'])
})

t.test('undefined is the default', async t => {
  t.strictSame(resolveOptions({ http: undefined, performance: { workerNum: undefined } }), defaults)
})

t.test('null is "work it out" wherever the original\'s default is null', async t => {
  const input: SwooleOptions = {
    performance: { workerNum: null, coroutineHookFlags: null },
    http: { options: { documentRoot: null } },
    https: { cert: null, key: null, ca: null, protocols: null }
  }
  t.strictSame(resolveOptions(input), defaults)
})

t.test('false leaves a block out', async t => {
  const blocks = ['database', 'task', 'scheduler', 'rateLimiter', 'metrics', 'threadPool', 'processPool', 'websocket', 'debug', 'cache', 'session', 'dashboard', 'health'] as const
  for (const block of blocks) t.equal(resolveOptions({ [block]: false })[block], false, block)
})

t.test('protocols become a list', async t => {
  const protocols = (given: NonNullable<SwooleOptions['https']>['protocols']) => resolveOptions({ https: { protocols: given } }).https.protocols
  t.strictSame(protocols('TLSv1.3'), ['TLSv1.3'])
  t.strictSame(protocols('TLSv1.2 | TLSv1.3'), ['TLSv1.2', 'TLSv1.3'])
  t.strictSame(protocols('TLSv1.2|TLSv1.2'), ['TLSv1.2'])
  t.strictSame(protocols(['TLSv1.3', 'TLSv1.2']), ['TLSv1.3', 'TLSv1.2'])
})

t.test('the types follow the schemas', async t => {
  const resolved: ResolvedOptions = resolveOptions({})
  const bytes: number | null = resolved.performance.maxMemory
  const ms: number = resolved.performance.stuckTimeout
  const given: SwooleOptions = { engine: 'redis', performance: { stuckTimeout: '3s', maxMemory: 5e6 }, cache: {}, health: false, https: { protocols: ['TLSv1.2'] } }

  // @ts-expect-error a duration is never a string once it is resolved
  const text: string = resolved.performance.stuckTimeout
  // @ts-expect-error an engine that does not exist
  const engine: SwooleOptions = { engine: 'sqlite' }
  // @ts-expect-error a key that does not exist
  const key: SwooleOptions = { performance: { workersNum: 2 } }
  // @ts-expect-error a block without keys takes none
  const none: SwooleOptions = { dashboard: { ttl: 1 } }
  // @ts-expect-error this block cannot be left out
  const left: SwooleOptions = { performance: false }
  t.ok([bytes, ms, given, text, engine, key, none, left])
})
