import t from 'tap'
import { resolveOptions } from '../../plugins/options/index.ts'

function problems (input: unknown, source?: string): string[] {
  try {
    resolveOptions(input, source)
    return []
  } catch (error: any) {
    t.equal(error.code, 'FST_SWOOLE_OPTIONS_INVALID')
    return error.message.split('\n')
  }
}

const duration = 'a duration: milliseconds or "250ms", "5s", "1m"'
const size = 'a size: bytes or "512kb", "64mb", "1gb"'

const refused: Array<[object, string]> = [
  [{ engine: 'postgres' }, 'engine is "postgres", but must be one of "memory", "redis"'],
  [{ http: { port: -5 } }, 'http.port is -5, but must be an integer from 0 to 65535'],
  [{ http: { port: 65536 } }, 'http.port is 65536, but must be an integer from 0 to 65535'],
  [{ http: { port: 80.5 } }, 'http.port is 80.5, but must be an integer from 0 to 65535'],
  [{ http: { port: '80' } }, 'http.port is "80", but must be an integer from 0 to 65535'],
  [{ http: { port: null } }, 'http.port is null, but must be an integer from 0 to 65535'],
  [{ http: { port: NaN } }, 'http.port is NaN, but must be an integer from 0 to 65535'],
  [{ http: { host: '' } }, 'http.host is "", but must be a string that is not empty'],
  [{ http: { options: { staticHandlerLocations: ['/a', 'b'] } } }, 'http.options.staticHandlerLocations[1] is "b", but must be a path that begins with "/"'],
  [{ https: { protocols: 'TLSv1.1' } }, 'https.protocols is "TLSv1.1", but must be "TLSv1.2", "TLSv1.3", a list of these, or null'],
  [{ https: { protocols: [] } }, 'https.protocols is [], but must be "TLSv1.2", "TLSv1.3", a list of these, or null'],
  [{ https: { protocols: ['SSLv3'] } }, 'https.protocols[0] is "SSLv3", but must be one of "TLSv1.2", "TLSv1.3"'],
  [{ http2: { maxFrameSize: 16383 } }, `http2.maxFrameSize is 16383, but must be ${size}, from 16384 to 16777215`],
  [{ http2: { initialWindowSize: 2147483648 } }, `http2.initialWindowSize is 2147483648, but must be ${size}, at most 2147483647`],
  [{ hotReload: { watch: 'src' } }, 'hotReload.watch is "src", but must be a list, each item a string that is not empty'],
  [{ performance: { workerNum: 0 } }, 'performance.workerNum is 0, but must be an integer from 1 to 256, or null'],
  [{ performance: { workerNum: 257 } }, 'performance.workerNum is 257, but must be an integer from 1 to 256, or null'],
  [{ performance: { compressionLevel: 99 } }, 'performance.compressionLevel is 99, but must be an integer from 1 to 9'],
  [{ performance: { daemonize: 'yes' } }, 'performance.daemonize is "yes", but must be true or false'],
  [{ performance: { crashLimit: 1001 } }, 'performance.crashLimit is 1001, but must be an integer from 1 to 1000'],
  [{ performance: { front: 'slow' } }, 'performance.front is "slow", but must be one of "fast", "node"'],
  [{ performance: { stuckTimeout: '5 seconds' } }, `performance.stuckTimeout is "5 seconds", but must be ${duration}, at most 2147483647 ms`],
  [{ performance: { stuckTimeout: -1 } }, `performance.stuckTimeout is -1, but must be ${duration}, at most 2147483647 ms`],
  [{ performance: { stuckTimeout: '25d' } }, `performance.stuckTimeout is "25d", but must be ${duration}, at most 2147483647 ms`],
  [{ performance: { startTimeout: '0s' } }, `performance.startTimeout is "0s", but must be ${duration}, from 1 to 2147483647 ms`],
  [{ performance: { maxMemory: '1kb' } }, `performance.maxMemory is "1kb", but must be ${size}, at least 1048576, or null`],
  [{ memory: { size: 1024 } }, `memory.size is 1024, but must be ${size}, from 1048576 to 4294967296`],
  [{ memory: { size: '1023kb' } }, `memory.size is "1023kb", but must be ${size}, from 1048576 to 4294967296`],
  [{ memory: { file: 5 } }, 'memory.file is 5, but must be a string that is not empty, or null'],
  [{ database: { mysql: { poolSize: 0 } } }, 'database.mysql.poolSize is 0, but must be an integer from 1 to 10000'],
  [{ database: { mysql: 5 } }, 'database.mysql is 5, but must be an object'],
  [{ threadPool: { size: 10001 } }, 'threadPool.size is 10001, but must be an integer from 1 to 10000'],
  [{ health: { live: 'livez' } }, 'health.live is "livez", but must be a path that begins with "/"'],
  [{ scheduler: true }, 'scheduler is true, but must be an object, or false'],
  [{ scheduler: null }, 'scheduler is null, but must be an object, or false'],
  [{ http: [] }, 'http is [], but must be an object'],
  [{ http: false }, 'http is false, but must be an object'],
  [{ http: { port: () => 80 } }, 'http.port is a function, but must be an integer from 0 to 65535'],
  [{ http: { host: 5n } }, 'http.host is 5, but must be a string that is not empty']
]

for (const [input, message] of refused) {
  t.test(message, async t => {
    t.strictSame(problems(input), [message])
  })
}

for (const input of [undefined, null, [], 'options', 5]) {
  t.test(`${JSON.stringify(input)} are no options`, async t => {
    t.strictSame(problems(input), [`The options are ${JSON.stringify(input)}, but must be an object`])
  })
}

t.test('a value of the wrong type is one line, whatever it breaks besides', async t => {
  t.equal(problems({ performance: { stuckTimeout: { seconds: 5 } } }).length, 1)
  t.equal(problems({ https: { protocols: 5 } }).length, 1)
})

t.test('each problem is a line, with where it comes from', async t => {
  t.strictSame(problems({ http: { port: -1 }, task: { workerNum: 300 } }, '/srv/shop/swoole.config.yaml'), [
    'http.port is -1, but must be an integer from 0 to 65535 (in /srv/shop/swoole.config.yaml)',
    'task.workerNum is 300, but must be an integer from 0 to 256 (in /srv/shop/swoole.config.yaml)'
  ])
})

t.test('an unknown option names the nearest one and its neighbours', async t => {
  t.strictSame(problems({ task: { workersNum: 2 } }), ['task.workersNum is not an option: did you mean task.workerNum? task has workerNum, maxRequest, maxQueued, maxPayload'])
  t.strictSame(problems({ task: { worker_num: 2 } }), ['task.worker_num is not an option: did you mean task.workerNum? task has workerNum, maxRequest, maxQueued, maxPayload'])
  t.strictSame(problems({ rateLimiter: { windowSeconds: 2 } }), ['rateLimiter.windowSeconds is not an option: did you mean rateLimiter.window? rateLimiter has enabled, maxRequests, window, global, maxKeys, headers'])
  t.strictSame(problems({ task: { colour: 2 } }), ['task.colour is not an option: task has workerNum, maxRequest, maxQueued, maxPayload'])
  t.strictSame(problems({ dashboard: { hue: 2 } }), ['dashboard.hue is not an option: dashboard has no keys'])
  t.match(problems({ performence: {} })[0], 'performence is not an option: did you mean performance? The options are engine, http, ')
  t.match(problems({ stuckTimeout: 5 })[0], 'stuckTimeout is not an option: did you mean performance.stuckTimeout? ')
  t.match(problems({ colour: 5 })[0], 'colour is not an option: The options are engine, http, ')
})

t.test('names of Object.prototype are unknown like any other', async t => {
  for (const name of ['__proto__', 'constructor', 'toString']) {
    t.match(problems(JSON.parse(`{"${name}":{}}`))[0], `${name} is not an option`)
    t.match(problems(JSON.parse(`{"task":{"${name}":{}}}`))[0], `task.${name} is not an option`)
  }
})

t.test('a long value is shortened to 80 characters', async t => {
  const [line] = problems({ engine: 'x'.repeat(1000) })
  t.equal(line, `engine is "${'x'.repeat(78)}…, but must be one of "memory", "redis"`)
})

t.test('a circular value does no harm', async t => {
  const circular: Record<string, unknown> = {}
  circular.self = circular
  t.match(problems({ http: { port: circular } })[0], 'http.port is a value that JSON cannot hold, but must be')
})

t.test('secrets are not shown, wherever they stand', async t => {
  const secret = 'hunter2'
  const inputs = [
    { database: { mysql: { password: { secret } } } },
    { database: { mysql: { password: [secret] } } },
    { database: { mysql: { url: [secret] } } },
    { https: { key: { secret } } },
    { http: { port: { password: secret } } },
    { http: { port: [{ deep: { url: secret } }] } },
    { database: { mysql: `mysql://root:${secret}@db/shop` } },
    { database: [{ mysql: { password: secret } }] },
    { http: { port: [`redis://:${secret}@cache`] } },
    { task: { password: secret } }
  ]
  for (const input of inputs) {
    const lines = problems(input)
    t.equal(lines.length, 1)
    t.notMatch(lines[0], secret)
  }
  t.strictSame(problems({ https: { key: 5 } }), ['https.key is [hidden], but must be a string that is not empty, or null'])
})
