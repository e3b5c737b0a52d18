import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadConfiguration, resolveOptions } from '../../plugins/options/index.ts'

const forms: Record<string, string> = {
  'swoole.config.ts': 'const port: number = 8001\nexport default { http: { port } }\n',
  'swoole.config.js': 'export default async () => ({ http: { port: 8001 } })\n',
  'swoole.config.mjs': 'export default () => ({ http: { port: 8001 } })\n',
  'swoole.config.json': '{ "http": { "port": 8001 } }',
  'swoole.config.yaml': 'http:\n  port: 8001\ntask:\n',
  'swoole.config.yml': 'http: { port: 8001 }\n'
}

for (const [name, text] of Object.entries(forms)) {
  t.test(`${name} is found and read`, async t => {
    const project = t.testdir({ 'package.json': '{ "type": "module" }', [name]: text })
    const { options, file, given } = await loadConfiguration({ project, env: {} })
    t.strictSame(options, resolveOptions({ http: { port: 8001 } }))
    t.strictSame(given, { http: { port: 8001 } })
    t.equal(file, join(project, name))
  })
}

t.test('a project without a configuration file has the defaults', async t => {
  const project = t.testdir({})
  t.strictSame(await loadConfiguration({ project, env: {} }), { options: resolveOptions({}), file: null, given: {} })
})

t.test('a file that is named is read, and no other', async t => {
  const project = t.testdir({ 'swoole.config.json': '{ "http": { "port": 1 } }', config: { 'live.yaml': 'http: { port: 2 }' } })
  const { options, file } = await loadConfiguration({ project, file: 'config/live.yaml', env: {} })
  t.equal(options.http.port, 2)
  t.equal(file, join(project, 'config/live.yaml'))
})

t.test('an empty YAML file has the defaults', async t => {
  const project = t.testdir({ 'swoole.config.yaml': '# nothing yet\n' })
  t.strictSame((await loadConfiguration({ project, env: {} })).options, resolveOptions({}))
})

t.test('a changed file is read again', async t => {
  const modules = {
    'swoole.config.ts': (port: number) => `export default { http: { port: ${port} as number } }`,
    'swoole.config.cjs': (port: number) => `module.exports = { http: { port: ${port} } }`
  }
  for (const [name, text] of Object.entries(modules)) {
    const project = t.testdir({})
    for (const port of [8001, 8002]) {
      writeFileSync(join(project, name), text(port))
      t.equal((await loadConfiguration({ project, file: name, env: {} })).options.http.port, port, name)
    }
  }
})

t.test('the command line goes before the environment, that before the file, that before the defaults', async t => {
  const project = t.testdir({
    'swoole.config.yaml': 'http: { host: file, port: 1 }\nperformance: { workerNum: 1, maxRequest: 1, crashLimit: 1 }\nhotReload: { watch: [file, more] }\nmetrics: false\n'
  })
  const { options, given } = await loadConfiguration({
    project,
    env: { PORT: '2', FASTIFY_SWOOLE_PERFORMANCE_WORKER_NUM: '2', FASTIFY_SWOOLE_PERFORMANCE_MAX_REQUEST: '2', FASTIFY_SWOOLE_HOT_RELOAD_WATCH: 'env' },
    commandLine: { performance: { workerNum: 3, maxRequest: undefined }, metrics: {} }
  })
  t.match(options, { http: { host: 'file', port: 2 }, performance: { workerNum: 3, maxRequest: 2, crashLimit: 1, maxConnection: 10000 } })
  t.strictSame(options.hotReload.watch, ['env'], 'lists are replaced')
  t.same(options.metrics, { enabled: true, exportInterval: 60_000 })
  t.strictSame(given, {
    http: { host: 'file', port: 2 },
    performance: { workerNum: 3, maxRequest: 2, crashLimit: 1 },
    hotReload: { watch: ['env'] },
    metrics: {}
  })
})

t.test('problems of all sources come together, each with its source', async t => {
  const project = t.testdir({ 'swoole.config.json': '{ "http": { "port": -1 } }' })
  const loading = loadConfiguration({ project, env: { FASTIFY_SWOOLE_HTTP_PORT: '-2' }, commandLine: { http: { port: -3 } } })
  await t.rejects(loading, {
    code: 'FST_SWOOLE_OPTIONS_INVALID',
    message: [
      'http.port is -3, but must be an integer from 0 to 65535 (in the command line)',
      'FASTIFY_SWOOLE_HTTP_PORT is -2, but must be an integer from 0 to 65535 (in the environment)',
      `http.port is -1, but must be an integer from 0 to 65535 (in ${join(project, 'swoole.config.json')})`
    ].join('\n')
  })
})

t.test('two configuration files are one too many', async t => {
  const project = t.testdir({ 'swoole.config.ts': '', 'swoole.config.yml': '' })
  await t.rejects(loadConfiguration({ project, env: {} }), {
    code: 'FST_SWOOLE_CONFIG_UNREADABLE',
    message: `The configuration of ${project} cannot be used: there are swoole.config.ts and swoole.config.yml: keep one, or name the one to use`
  })
})

const broken: Array<[string, string, string]> = [
  ['a.ts', 'export default {\n  http: )\n}', ':2 cannot be used: Expression expected'],
  ['b.ts', 'enum A { b }\nexport default {}', ':1 cannot be used: TypeScript enum is not supported in strip-only mode'],
  ['a.mjs', 'export default {\n\n  http: )\n}', ':3 cannot be used: Unexpected token \')\''],
  ['a.cjs', 'module.exports = {\n  http: )\n}', ':2 cannot be used: Unexpected token \')\''],
  ['c.ts', 'export default () => {\n  throw new Error("no database\\nat all")\n}', ':2 cannot be used: no database'],
  ['d.ts', 'export default async () => {\n  throw "thrown text"\n}', ' cannot be used: thrown text'],
  ['e.ts', 'export const options = {}', ' cannot be used: it has no default export'],
  ['f.ts', 'export default 5', ' cannot be used: it gives a number, but must give an object with options'],
  ['g.ts', 'export default () => {}', ' cannot be used: it gives undefined, but must give an object with options'],
  ['h.ts', 'export default async () => []', ' cannot be used: it gives a list, but must give an object with options'],
  ['a.json', '{\n  "http": 5,\n}', ':3 cannot be used: it is not valid JSON: Expected double-quoted property name'],
  ['b.json', '{ "password": hunter2 }', ' cannot be used: it is not valid JSON: Unexpected token \'h\''],
  ['c.json', '', ' cannot be used: it is not valid JSON: Unexpected end of JSON input'],
  ['d.json', '[]', ' cannot be used: it gives a list, but must give an object with options'],
  ['a.yaml', 'http:\n  port: 1\n  port: 2\n', ':3 cannot be used: it is not valid YAML: Map keys must be unique'],
  ['b.yaml', 'http: [1\n', ':2 cannot be used: it is not valid YAML: Flow sequence'],
  ['c.yaml', 'http:\n  port: !php/const PORT\n', ':2 cannot be used: it is not valid YAML: Unresolved tag: !php/const'],
  ['d.yaml', 'text\n', ' cannot be used: it gives a string, but must give an object with options'],
  ['e.yaml', 'swoole: [1]\n', ' cannot be used: it gives a list, but must give an object with options'],
  ['f.yaml', 'http: *nobody\n', ' cannot be used: it is not valid YAML: '],
  ['a.toml', '', ' cannot be used: its name ends in none of .ts, .mts, .cts, .js, .mjs, .cjs, .json, .yaml, .yml']
]

for (const [name, text, problem] of broken) {
  t.test(`${name}${problem}`, async t => {
    const project = t.testdir({ [name]: text })
    const error = await loadConfiguration({ project, file: name, env: {} }).catch(error => error)
    t.equal(error.code, 'FST_SWOOLE_CONFIG_UNREADABLE')
    t.match(error.message, `The configuration ${join(project, name)}${problem}`)
    t.notMatch(error.message, /\n|hunter2| at /, 'it shows no stack and no secret')
  })
}

t.test('a file that is not there is said to be missing', async t => {
  const project = t.testdir({ 'folder.json': {} })
  for (const file of ['none.ts', 'none.yaml']) {
    await t.rejects(loadConfiguration({ project, file, env: {} }), { code: 'FST_SWOOLE_CONFIG_UNREADABLE', message: `The configuration ${join(project, file)} cannot be used: it does not exist` })
  }
  await t.rejects(loadConfiguration({ project, file: 'folder.json', env: {} }), { message: `The configuration ${join(project, 'folder.json')} cannot be used: it is a folder` })
  await t.rejects(loadConfiguration({ project: join(project, 'none'), env: {} }), { message: `The configuration of ${join(project, 'none')} cannot be used: it does not exist` })
})
