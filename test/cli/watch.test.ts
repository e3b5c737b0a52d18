import t from 'tap'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { get, startLoad } from '../support/load.ts'
import { eventually } from '../support/processes.ts'
import { makeProject, start, status, swoole, writeFiles } from '../support/project.ts'

const app = (answer: string) => `
  import swoole from '${swoole}'
  import { word } from './lib/word.ts'
  export const options = { logger: false }
  export default async function (fastify) {
    await fastify.register(swoole)
    fastify.get('/', async () => '${answer} ' + word)
  }`

const files = { 'app.ts': app('one'), 'lib/word.ts': "export const word = 'fish'", 'config/settings.json': '{}' }

t.test('a save is served by new code with no request failed; broken code is told of and the old serves', async (t) => {
  const folder = makeProject(t, files)
  const { port, line, output } = await start(t, folder, ['--task-workers', '0'], { command: 'watch' })
  t.equal((await status(folder)).workers.length, 1, 'one worker unless told otherwise')
  const load = startLoad(port, { clients: 4, keepAlive: true })
  const answers = (body: string) => eventually(body, async () => (await get(port)).body === body)

  await t.test('the application\'s file', async () => {
    writeFiles(folder, { 'app.ts': app('two') })
    await answers('two fish')
  })
  await t.test('a file that it imports, in no watched folder', async () => {
    writeFiles(folder, { 'lib/word.ts': "export const word = 'birds'" })
    await answers('two birds')
  })
  await t.test('a file in a watched folder, and its removal', async () => {
    let said = line(/\[reload \d+\] config\/extra\.json changed/)
    writeFileSync(join(folder, 'config/extra.json'), '1')
    await said
    await line(/new code serves/)
    said = line(/\[reload \d+\] config\/extra\.json changed/)
    rmSync(join(folder, 'config/extra.json'))
    await said
    await line(/new code serves/)
  })
  await t.test('many files at once are one reload', async (t) => {
    const said = line(/\[reload \d+\] .* and \d more changed/)
    mkdirSync(join(folder, 'config/many'))
    for (let n = 0; n < 8; n++) writeFileSync(join(folder, `config/many/${n}`), 'x')
    await said
    await line(/new code serves/)
    t.pass()
  })
  await t.test('a syntax error says where it is and keeps the old code; mending it recovers', async (t) => {
    const said = line(/SyntaxError/)
    writeFiles(folder, { 'lib/word.ts': 'export const word = = 5' })
    await said
    t.match(output.stderr, /lib\/word\.ts:1\n[^]*export const word = = 5/)
    t.equal((await get(port)).body, 'two birds')
    writeFiles(folder, { 'lib/word.ts': "export const word = 'again'" })
    await answers('two again')
  })
  await load.stop()
  t.same(load.failures, [], `none of ${load.answers.length} requests failed`)
  t.ok(load.answers.every(({ status }) => status === 200))
})

t.test('--poll-interval looks by itself, and hotReload.enabled: false does not watch', async (t) => {
  const polled = makeProject(t, files)
  const { port } = await start(t, polled, ['--task-workers', '0', '--poll-interval', '50'], { command: 'watch' })
  writeFiles(polled, { 'app.ts': app('polled') })
  await eventually('polled', async () => (await get(port)).body === 'polled fish')

  const still = makeProject(t, files)
  const { output } = await start(t, still, ['--task-workers', '0'], { command: 'watch', env: { FASTIFY_SWOOLE_HOT_RELOAD_ENABLED: 'false' } })
  await eventually('it says so', () => output.stderr.includes('hotReload.enabled is false: changes are not watched'))
})

t.test('--no-clear-cache leaves the cache folder', async (t) => {
  for (const [args, kept] of [[[], false], [['--no-clear-cache'], true]] as const) {
    const folder = makeProject(t, { ...files, 'var/cache/entry': 'x' })
    const { line } = await start(t, folder, ['--task-workers', '0', ...args], { command: 'watch' })
    const { existsSync } = await import('node:fs')
    const said = line(/new code serves/)
    writeFiles(folder, { 'app.ts': app('three') })
    await said
    t.equal(existsSync(join(folder, 'var/cache/entry')), kept)
  }
})
