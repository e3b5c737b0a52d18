import t from 'tap'
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { get } from '../support/load.ts'

const execute = promisify(execFile)
const root = resolve(import.meta.dirname, '../..')

t.test('the packed package installs in an empty folder and serves an application there', { timeout: 170_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'swoole-packed-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const { stdout } = await execute('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root })
  const packed = JSON.parse(stdout)
  const [{ filename, files }] = Array.isArray(packed) ? packed : Object.values(packed)
  const names = files.map(({ path }: { path: string }) => path)
  t.notOk(names.some((name: string) => /^(test|bench|plugins|cli)\//.test(name)), 'only what is built is shipped')

  const project = join(folder, 'project')
  mkdirSync(project)
  const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  writeFileSync(join(project, 'package.json'), JSON.stringify({ type: 'module', allowScripts: { koffi: true } }))
  await execute('npm', ['install', join(folder, filename), `fastify@${devDependencies.fastify}`], { cwd: project })
  writeFileSync(join(project, 'app.js'), `
    import swoole from 'fastify-swoole'
    export default async function (fastify) {
      await fastify.register(swoole)
      fastify.get('/', async () => fastify.atomic('hits').increment() + ' by ' + fastify.swoole.role)
    }`)
  const server = spawn(join(project, 'node_modules/.bin/fastify-swoole'), ['start', '--port', '0', '--host', '127.0.0.1', '--workers', '2', '--task-workers', '0'], { cwd: project, stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => server.kill('SIGKILL'))
  const [line] = await once(createInterface({ input: server.stdout }), 'line')
  const port = Number(String(line).match(/127\.0\.0\.1:(\d+)/)![1])
  t.equal((await get(port)).body, '1 by http')
  t.equal((await get(port)).body, '2 by http')
  await execute(join(project, 'node_modules/.bin/fastify-swoole'), ['stop'], { cwd: project })

  await t.test('every entry point can be imported alone', async (t) => {
    const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    for (const name of Object.keys(exports).filter((name) => !name.endsWith('.json'))) {
      const specifier = join('fastify-swoole', name)
      const { stdout } = await execute(process.execPath, ['--input-type=module', '-e', `console.log(Object.keys(await import('${specifier}')).length)`], { cwd: project })
      t.ok(Number(stdout) > 0, specifier)
    }
  })
  await t.test('sessions say which packages they need', async (t) => {
    const script = `
      import Fastify from 'fastify'
      import session from 'fastify-swoole/session'
      try { await Fastify().register(session, { secret: 'x'.repeat(32) }) } catch ({ code, message }) { console.log(code, message) }`
    const { stdout } = await execute(process.execPath, ['--input-type=module', '-e', script], { cwd: project })
    t.match(stdout, /^FST_SWOOLE_PACKAGE_MISSING The option session needs .*: npm install @fastify\/session @fastify\/cookie$/m)
  })
  await t.test('an older Node is told in one line', { skip: systemNode() === undefined }, async (t) => {
    const failed = await execute(systemNode()!, [join(project, 'node_modules/fastify-swoole/dist/cli/main.js'), 'start'], { cwd: project }).catch((error) => error)
    t.equal(failed.code, 1)
    t.match(failed.stderr, /^fastify-swoole needs Node\.js 22\.22 or newer; this is \d+\.\d+\.\d+\n$/)
  })
})

/** A Node on this machine that is too old, if there is one. */
function systemNode (): string | undefined {
  try {
    const version = execFileSync('/usr/bin/node', ['--version'], { encoding: 'utf8' })
    return Number(version.slice(1).split('.')[0]) < 22 ? '/usr/bin/node' : undefined
  } catch {
    return undefined
  }
}
