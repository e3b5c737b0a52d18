import t from 'tap'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { runDirectoryOf } from '../../cli/launcher/run-directory.ts'
import { startTimeOf } from '../../cli/launcher/process-identity.ts'
import { get } from '../support/load.ts'
import { isRunning, processesNaming } from '../support/processes.ts'
import { makeProject, run, start, swoole } from '../support/project.ts'

const good = `
  import swoole from '${swoole}'
  export default async function (fastify) {
    await fastify.register(swoole)
    fastify.get('/', async () => 'good')
  }`

const free = ['--port', '0', '--host', '127.0.0.1', '--workers', '2', '--task-workers', '0']

t.test('what cannot start says why in one message, exits with 1 and leaves nothing', async (t) => {
  const cases: Array<[string, Record<string, string>, string[], RegExp]> = [
    ['an app that throws', { 'app.ts': "export default async () => { throw new Error('no database') }" }, free, /^error Worker \d did not start: Error: no database\n +at .*app\.ts:1:\d+/],
    ['an app with a syntax error', { 'app.ts': 'export default async function ( {' }, free, /app\.ts:1\n[^]*SyntaxError/],
    ['an app that imports what is not there', { 'app.ts': "import 'nowhere'\nexport default async () => {}" }, free, /Cannot find package 'nowhere'/],
    ['an app without a default export', { 'app.ts': 'export const app = 1' }, free, /app\.ts cannot be used: it has no default export/],
    ['a file that is not there', {}, ['missing.ts', ...free], /missing\.ts cannot be used: there is no such file/],
    ['no file at all', {}, free, /no file was named and it has none of app\.ts/],
    ['an unknown flag', { 'app.ts': good }, ['--wrokers', '2'], /Unknown option '--wrokers'/],
    ['a flag with a wrong value', { 'app.ts': good }, ['--workers', 'many'], /--workers is "many", but must be an integer/],
    ['a flag out of range', { 'app.ts': good }, ['--workers', '0'], /performance\.workerNum/],
    ['a surplus argument', { 'app.ts': good, 'b.ts': good }, ['app.ts', 'b.ts', ...free], /"b\.ts" is one argument too many/],
    ['an unknown option in the configuration', { 'app.ts': good, 'swoole.config.ts': 'export default { performance: { workernum: 2 } }' }, free, /performance\.workernum[^]*did you mean performance\.workerNum/],
    ['a wrong type in the configuration', { 'app.ts': good, 'swoole.config.yaml': 'http: { port: lots }' }, free, /http\.port is "lots"/],
    ['a broken configuration', { 'app.ts': good, 'swoole.config.json': '{ "http": ' }, free, /swoole\.config\.json cannot be used/],
    ...['.', '..', '../other', '/tmp', 'node_modules', 'node_modules/x'].map((folder): [string, Record<string, string>, string[], RegExp] =>
      [`a cache folder that is ${folder}`, { 'app.ts': good, env: `FASTIFY_SWOOLE_PERFORMANCE_CACHE_FOLDER=${folder}` }, free, /performance\.cacheFolder is ".*", but must be a folder inside the project/]),
    ['a cache folder with the application in it', { 'src/app.ts': good, env: 'FASTIFY_SWOOLE_PERFORMANCE_CACHE_FOLDER=src' }, ['src/app.ts', ...free], /performance\.cacheFolder is "src"/],
    ['a configuration that is not there', { 'app.ts': good }, [...free, '--config', 'none.yaml'], /none\.yaml/],
    ['an unknown variable', { 'app.ts': good, env: 'FASTIFY_SWOOLE_HTTP_PROT=1' }, free, /FASTIFY_SWOOLE_HTTP_PROT/],
    ['a host that is not of this machine', { 'app.ts': good }, ['--host', '203.0.113.7', '--port', '0'], /Cannot listen on 203\.0\.113\.7:0: this machine does not have that address/]
  ]
  for (const [what, { env, ...files }, args, message] of cases) {
    await t.test(what, async (t) => {
      const folder = makeProject(t, files)
      const variables = env === undefined ? {} : Object.fromEntries([env.split('=')])
      const { code, stderr, stdout } = await run(folder, ['start', ...args], variables)
      t.equal(code, 1)
      t.match(stderr, message)
      t.notMatch(stderr, /\n +at .*node_modules|node:internal/, 'no stack trace')
      t.notMatch(stdout, /listening/)
      t.same(processesNaming(folder), [])
      t.notOk(existsSync(runDirectoryOf(folder)))
    })
  }
})

t.test('a port in use is said before the application is loaded', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await new Promise((resolve) => other.once('listening', resolve))
  const { port } = other.address() as AddressInfo
  const folder = makeProject(t, { 'app.ts': `import { writeFileSync } from 'node:fs'\nwriteFileSync('loaded', '')\n${good}` })
  const { code, stderr } = await run(folder, ['start', '--host', '127.0.0.1', '--port', String(port)])
  t.equal(code, 1)
  t.equal(stderr, `error Cannot listen on 127.0.0.1:${port}: the port is in use by another program\n`)
  t.notOk(existsSync(join(folder, 'loaded')))
})

t.test('a second start of the same application is refused and the first serves on', async (t) => {
  const folder = makeProject(t, { 'app.ts': good })
  const { child, port } = await start(t, folder, ['--workers', '1', '--task-workers', '0'])
  const { code, stderr } = await run(folder, ['start', ...free])
  t.equal(code, 1)
  t.match(stderr, new RegExp(`already running \\(process ${child.pid}\\)`))
  t.equal((await get(port)).body, 'good')
})

t.test('two applications do not meet', async (t) => {
  const one = makeProject(t, { 'app.ts': good.replace("'good'", "'one ' + fastify.atomic('n').increment()") })
  const two = makeProject(t, { 'app.ts': good.replace("'good'", "'two ' + fastify.atomic('n').increment()") })
  const [first, second] = await Promise.all([one, two].map((folder) => start(t, folder, ['--workers', '1', '--task-workers', '0'])))
  t.equal((await get(first!.port)).body, 'one 1')
  t.equal((await get(second!.port)).body, 'two 1')
  t.equal((await run(one, ['stop'])).code, 0)
  t.equal((await get(second!.port)).body, 'two 2')
})

t.test('with nothing running, stop, reload and status say so and exit with 1', async (t) => {
  const folder = makeProject(t, { 'app.ts': good })
  for (const command of [['stop'], ['stop', '--force'], ['reload'], ['reload', '--only-cache'], ['status'], ['status', '--json']]) {
    const { code, stderr, stdout } = await run(folder, command)
    t.equal(code, 1, command.join(' '))
    t.equal(stderr, `error No fastify-swoole application is running for ${folder}\n`)
    t.equal(stdout, '')
  }
})

t.test('what a crash left behind hinders no command, and a pid that another program has by now is left alone', async (t) => {
  const folder = makeProject(t, { 'app.ts': good })
  const bystander = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  t.teardown(() => bystander.kill('SIGKILL'))
  const leaveBehind = (startTime: string) => {
    const directory = runDirectoryOf(folder)
    mkdirSync(join(directory, 'bells-old'), { recursive: true, mode: 0o700 })
    writeFileSync(join(directory, 'lock'), '')
    writeFileSync(join(directory, 'control.sock'), '')
    writeFileSync(join(directory, 'primary.json'), JSON.stringify({ pid: bystander.pid, startTime }))
  }
  for (const command of [['stop'], ['stop', '--force'], ['status'], ['reload']]) {
    // Even one whose start time fits: without the lock it is not our primary.
    for (const startTime of ['1', startTimeOf(bystander.pid!)]) {
      leaveBehind(startTime)
      const { code, stderr } = await run(folder, command)
      t.equal(code, 1)
      t.match(stderr, /No fastify-swoole application is running/)
      t.ok(isRunning(bystander.pid!), 'the bystander lives')
    }
  }
  leaveBehind('1')
  const { port } = await start(t, folder, ['--workers', '1', '--task-workers', '0'])
  t.equal((await get(port)).body, 'good')
})

t.test('commands explain themselves, and what is none is refused', async (t) => {
  const folder = makeProject(t, {})
  t.match(await run(folder, ['--help']), { code: 0, stdout: /Usage: fastify-swoole/ })
  t.match(await run(folder, ['start', '--help']), { code: 0, stdout: /Usage: fastify-swoole/ })
  t.match(await run(folder, []), { code: 1, stderr: /Usage: fastify-swoole/ })
  t.match(await run(folder, ['restart']), { code: 1, stderr: /There is no command "restart"; there are start, stop, reload, watch, status/ })
  t.match(await run(folder, ['--version']), { code: 0, stdout: /^\d+\.\d+\.\d+\n$/ })
  t.match(await run(folder, ['stop', '--timeout', 'soon']), { code: 1, stderr: /--timeout is "soon", but must be a duration/ })
  t.match(await run(folder, ['reload', '--only-cache', '--no-cache-clear']), { code: 1, stderr: /together would do nothing/ })
})

t.test('without the package fastify it says how to get it, in one line', async (t) => {
  const folder = makeProject(t, { 'app.ts': 'export default async function (fastify) {}' })
  rmSync(join(folder, 'node_modules'))
  const { code, stderr } = await run(folder, ['start', ...free])
  t.equal(code, 1)
  t.equal(stderr.replace(/Worker \d/, 'Worker'), `error Worker did not start: The application ${folder}/app.ts cannot be used: the package fastify is not installed beside it: npm install fastify\n`)
})
