import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadConfiguration, resolveOptions } from '../../plugins/options/index.ts'

async function load (t: Test, yaml: string) {
  const project = t.testdir({ 'swoole.config.yaml': yaml })
  return { project, ...await loadConfiguration({ project, env: {} }) }
}

t.test('the original\'s complete configuration reference loads as it is', async t => {
  const project = t.testdir({})
  copyFileSync(new URL('fixtures/original.yaml', import.meta.url), join(project, 'swoole.config.yaml'))

  const { options, file } = await loadConfiguration({ project, env: {} })
  t.equal(file, join(project, 'swoole.config.yaml'))
  t.strictSame(options, resolveOptions({
    http: { options: { openHttp2Protocol: true, enableStaticHandler: true, documentRoot: join(project, 'public') } },
    performance: { maxRequest: 10000 },
    task: { workerNum: 4 }
  }), 'the rest of it are the defaults')
})

t.test('seconds are seconds where the original has seconds', async t => {
  const { options } = await load(t, `
swoole:
  performance: { heartbeat_interval: 10, heartbeat_idle_time: 2.5 }
  database: { mysql: { timeout: 1 }, postgresql: { timeout: 0.25 }, redis: { timeout: 3.0 } }
  rate_limiter: { window_seconds: 5 }
  metrics: { export_interval: 30 }
  hot_reload: { interval: 750 }
`)
  t.match(options, {
    performance: { heartbeatInterval: 10_000, heartbeatIdleTime: 2_500 },
    database: { mysql: { timeout: 1_000 }, postgresql: { timeout: 250 }, redis: { timeout: 3_000 } },
    rateLimiter: { window: 5_000 },
    metrics: { exportInterval: 30_000 },
    hotReload: { interval: 750 }
  })
})

t.test('a duration with a unit passes as it is', async t => {
  const { options } = await load(t, 'swoole: { rate_limiter: { window_seconds: 1500ms }, performance: { heartbeat_interval: 1m } }')
  t.match(options, { rateLimiter: { window: 1_500 }, performance: { heartbeatInterval: 60_000 } })
})

t.test('%kernel.project_dir% is the project\'s folder anywhere in a string', async t => {
  const { options, project } = await load(t, `
swoole:
  hot_reload: { watch: ['%kernel.project_dir%/src', '%kernel.project_dir%/../lib'] }
  https: { cert: '%kernel.project_dir%/tls/cert.pem' }
`)
  t.strictSame(options.hotReload.watch, [`${project}/src`, `${project}/../lib`])
  t.equal(options.https.cert, `${project}/tls/cert.pem`)
})

t.test('an empty section has its defaults', async t => {
  t.strictSame((await load(t, 'swoole: ~')).options, resolveOptions({}))
  t.strictSame((await load(t, 'swoole:\n  http: ~\n  performance:\n  database: { mysql: ~ }\n  health: ~\n')).options, resolveOptions({}))
})

t.test('keys of ours may stand beside the original\'s', async t => {
  const { options } = await load(t, 'swoole: { engine: redis, memory: { size: 128mb }, performance: { stuck_timeout: 5s, maxMemory: 1gb }, health: {}, metrics: false }')
  t.match(options, { engine: 'redis', memory: { size: 134217728 }, performance: { stuckTimeout: 5_000, maxMemory: 1073741824 }, metrics: false })
  t.strictSame(options.health, { live: '/livez', ready: '/readyz' })
})

t.test('protocols may be names, or the original\'s bit mask', async t => {
  for (const [given, protocols] of [['~', null], ['TLSv1.2 | TLSv1.3', ['TLSv1.2', 'TLSv1.3']], ['32', ['TLSv1.2']], ['96', ['TLSv1.2', 'TLSv1.3']]] as const) {
    t.strictSame((await load(t, `swoole: { https: { protocols: ${given} } }`)).options.https.protocols, protocols, given)
  }
})

t.test('problems are spelled as the file spells them', async t => {
  const project = t.testdir({
    'swoole.config.yaml': `
swoole:
  performance: { worker_num: 300, heartbeat_interval: -5, worker_count: 3 }
  rate_limiter: { window_seconds: 0 }
  https: { protocols: 8 }
`
  })
  const file = join(project, 'swoole.config.yaml')
  const { message } = await loadConfiguration({ project, env: {} }).catch(error => error)
  const duration = 'a duration: milliseconds or "250ms", "5s", "1m", from 1 to 2147483647 ms'
  t.match(message.split('\n').sort(), [
    `swoole.https.protocols is 8, but must be "TLSv1.2", "TLSv1.3", a list of these, or null (in ${file})`,
    `swoole.performance.heartbeat_interval is "-5s", but must be ${duration} (in ${file})`,
    /^swoole\.performance\.worker_count is not an option: .*swoole\.performance has worker_num, max_request, /,
    `swoole.performance.worker_num is 300, but must be an integer from 1 to 256, or null (in ${file})`,
    `swoole.rate_limiter.window_seconds is "0s", but must be ${duration} (in ${file})`
  ])
})

t.test('what stands beside the root key is not ignored in silence', async t => {
  await t.rejects(load(t, 'swoole: {}\nwhen@dev: {}\n'), { code: 'FST_SWOOLE_CONFIG_UNREADABLE', message: /beside "swoole" it has when@dev, which nothing reads/ })
})
