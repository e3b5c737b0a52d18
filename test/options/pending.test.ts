import { readFileSync } from 'node:fs'
import t from 'tap'
import { leaves } from '../../plugins/options/leaves.ts'

/** Options that are accepted, and whose capability comes later. Each capability takes its options off this list. */
const pending = [
  'engine',
  'http.options.openHttp2Protocol',
  'http.options.openWebsocketProtocol',
  'http.options.enableStaticHandler',
  'http.options.documentRoot',
  'http.options.staticHandlerLocations',
  'https.enabled',
  'https.port',
  'https.cert',
  'https.key',
  'https.ca',
  'https.verifyPeer',
  'https.protocols',
  'http2.headerTableSize',
  'http2.initialWindowSize',
  'http2.maxConcurrentStreams',
  'http2.maxFrameSize',
  'http2.maxHeaderListSize',
  'performance.enableCoroutine',
  'performance.maxCoroutine',
  'performance.coroutineHookFlags',
  'performance.bufferOutputSize',
  'performance.socketBufferSize',
  'performance.enableCompression',
  'performance.compressionLevel',
  'performance.compressionMinLength',
  'performance.websocketCompression',
  'performance.threadMode',
  'performance.baseMode',
  'metrics.enabled',
  'metrics.exportInterval',
  'threadPool.enabled',
  'threadPool.size',
  'processPool.enabled',
  'processPool.size',
  'websocket.enabled',
  'websocket.maxFrameSize',
  'websocket.compression',
  'debug.enabled',
  'debug.enableDd',
  'debug.enableVarDump',
  'dashboard'
]

const effective = [
  'database.enablePool',
  ...['mysql', 'postgresql', 'redis'].flatMap(kind => [
    'poolSize', 'timeout', 'url', 'host', 'port', 'user', 'password', 'database', 'idleTimeout', 'maxLifetime', 'validateAfterIdle', 'maxPerMachine', 'tls', 'clientOptions'
  ].map(key => `database.${kind}.${key}`)),
  ...['mysql', 'postgresql'].flatMap(kind => ['queryTimeout', 'slowQueryMs'].map(key => `database.${kind}.${key}`)),
  'database.postgresql.prepare',
  ...['commandTimeout', 'cluster', 'sentinels', 'sentinelName'].map(key => `database.redis.${key}`),
  'http.host',
  'http.port',
  'hotReload.enabled',
  'hotReload.watch',
  'hotReload.interval',
  'hotReload.polling',
  'performance.workerNum',
  'performance.maxRequest',
  'performance.maxConnection',
  'performance.packageMaxLength',
  'performance.daemonize',
  'performance.heartbeatInterval',
  'performance.heartbeatIdleTime',
  'performance.enableReusePort',
  'performance.maxMemory',
  'performance.stuckTimeout',
  'performance.startTimeout',
  'performance.drainTimeout',
  'performance.drainIdleTimeout',
  'performance.readinessDelay',
  'performance.crashLimit',
  'performance.cacheFolder',
  'performance.front',
  'task.workerNum',
  'task.maxRequest',
  'task.maxQueued',
  'task.maxPayload',
  'scheduler.enabled',
  'scheduler.maxJobs',
  'memory.size',
  'memory.file',
  'rateLimiter.enabled',
  'rateLimiter.maxRequests',
  'rateLimiter.window',
  'rateLimiter.global',
  'rateLimiter.headers',
  'rateLimiter.maxKeys',
  'cache.size',
  'cache.ttl',
  'cache.computeTimeout',
  'cache.clearOnReload',
  'session.secret',
  'session.ttl',
  'session.rolling',
  'session.saveUninitialized',
  'session.size',
  'session.maxBytes',
  'session.cookieName',
  ...['path', 'domain', 'secure', 'httpOnly', 'sameSite', 'partitioned', 'persistent'].map(key => `session.cookie.${key}`),
  'health.live',
  'health.ready',
  'log.file'
]

t.test('an option has an effect or is known to have none yet, never both', async t => {
  t.strictSame(pending.filter(path => effective.includes(path)), [])
})

t.test('every option is in one of the two lists, and nothing else is', async t => {
  const known = leaves().map(leaf => leaf.path.join('.'))
  t.strictSame([...pending, ...effective].sort(), known.sort())
})

t.test('the documentation marks the options that have no effect yet', async t => {
  const rows = readFileSync(new URL('../../docs/options.md', import.meta.url), 'utf8').split('\n').filter(line => line.startsWith('| `'))
  const later = rows.filter(row => row.endsWith('| later |')).map(row => row.split('`')[1]!)
  t.strictSame(later.sort(), [...pending].sort())
})
