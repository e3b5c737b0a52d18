import t from 'tap'
import Fastify from 'fastify'
import { spawn } from 'node:child_process'
import { cpSync } from 'node:fs'
import { join, resolve } from 'node:path'
import shortener from '../../server.ts'
import { freePort } from '../support/ports.ts'
import { eventually } from '../support/processes.ts'
import { makeProject, start } from '../support/project.ts'

const root = resolve(import.meta.dirname, '../..')

t.test('a link is made, found, followed and counted', async (t) => {
  const fastify = Fastify()
  t.teardown(() => fastify.close())
  await fastify.register(shortener, {})

  const made = await fastify.inject({ method: 'POST', url: '/links', body: { url: 'https://example.com/a?b=c' } })
  t.equal(made.statusCode, 201)
  const { code, url, clicks } = made.json()
  t.same({ url, clicks }, { url: 'https://example.com/a?b=c', clicks: 0 })
  t.equal(made.headers.location, `/links/${code}`)
  t.equal((await fastify.inject({ method: 'POST', url: '/links', body: { url } })).json().code, code, 'the same link again is the same')

  const followed = await fastify.inject(`/${code}`)
  t.match(followed, { statusCode: 302, headers: { location: url } })
  await eventually('the click is counted', async () => (await fastify.inject(`/links/${code}`)).json().clicks === 1)
  t.match((await fastify.inject(`/links/${code}`)).json(), { code, url, clicks: 1 })
  t.match(await fastify.inject('/'), { statusCode: 200, headers: { 'content-type': 'text/html; charset=utf-8' } })
})

t.test('each new link is checked in a task, and its maker does not wait for that', async (t) => {
  const fastify = Fastify()
  t.teardown(() => fastify.close())
  await fastify.register(shortener, {})
  const make = async (url: string) => (await fastify.inject({ method: 'POST', url: '/links', body: { url } })).json()
  const eventuallyIs = (code: string, state: RegExp) => eventually(String(state), async () => state.test((await fastify.inject(`/links/${code}`)).json().state))
  for (const url of ['http://127.0.0.1:1/', 'http://[::1]/', 'http://localhost/', 'http://169.254.169.254/latest', 'http://0x7f.1/']) {
    const { code, state } = await make(url)
    t.equal(state, 'not checked yet')
    await eventuallyIs(code, /^not checked: a private address$/)
  }
  const { code } = await make('https://nowhere.invalid/')
  await eventuallyIs(code, /^not found$/)
})

t.test('the figures of all links are made on a schedule', async (t) => {
  const fastify = Fastify()
  t.teardown(() => fastify.close())
  await fastify.register(shortener, {})
  await fastify.ready()
  await eventually('they are there', async () => (await fastify.inject('/figures')).json().at !== '')
  t.match((await fastify.inject('/figures')).json(), { links: 0, clicks: 0, at: /^\d{4}-.*Z$/ })
})

t.test('a link is answered from the cache until it is clicked', async (t) => {
  const fastify = Fastify()
  t.teardown(() => fastify.close())
  await fastify.register(shortener, {})
  const { code } = (await fastify.inject({ method: 'POST', url: '/links', body: { url: 'https://example.com' } })).json()
  const look = async () => (await fastify.inject(`/links/${code}`)).headers['cache-status']
  t.match(await look(), /stored/)
  t.match(await look(), /hit/)
  await fastify.inject(`/${code}`)
  await eventually('it is made anew', async () => /stored/.test(String(await look())))
})

t.test('everybody sees the links that he made', async (t) => {
  const fastify = Fastify()
  t.teardown(() => fastify.close())
  await fastify.register(shortener, {})
  const make = async (n: number, cookies = {}) => {
    const answer = await fastify.inject({ method: 'POST', url: '/links', body: { url: `https://example.com/${n}` }, cookies })
    return { code: answer.json().code, sessionId: answer.cookies[0]?.value as string }
  }
  const first = await make(1)
  const second = await make(2, { sessionId: first.sessionId })
  await make(3)
  const own = await fastify.inject({ url: '/links', cookies: { sessionId: first.sessionId } })
  t.strictSame(own.json().map(({ code }: { code: string }) => code), [second.code, first.code])
  t.strictSame((await fastify.inject('/links')).json(), [])
})

t.test('an unknown code is 404, and what is no http URL is 400 with the reason', async (t) => {
  const fastify = Fastify()
  t.teardown(() => fastify.close())
  await fastify.register(shortener, {})
  for (const path of ['/nowhere', '/links/nowhere']) {
    const answer = await fastify.inject(path)
    t.match(answer.json(), { statusCode: 404, message: 'There is no link with the code "nowhere"' })
  }
  for (const url of ['javascript:alert(1)', 'ftp://example.com', '/relative', '', 'http://', 5, null, 'x'.repeat(3000), undefined]) {
    const answer = await fastify.inject({ method: 'POST', url: '/links', body: { url } })
    t.equal(answer.statusCode, 400, String(url).slice(0, 40))
    t.match(answer.json().message, /url/)
    t.notMatch(answer.body, /node_modules|stack/)
  }
})

t.test('under the launcher all workers see a link that one of them made', async (t) => {
  const folder = makeProject(t, {})
  for (const name of ['server.ts', 'swoole.config.ts', 'plugins']) cpSync(join(root, name), join(folder, name), { recursive: true })
  const { url } = await start(t, folder, ['--workers', '3', '--task-workers', '0'])
  const made = await fetch(`${url}/links`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"url":"https://example.com"}' })
  const { code } = await made.json() as { code: string }
  const cookie = made.headers.getSetCookie()[0]!.split(';')[0]!
  for (let n = 0; n < 6; n++) {
    const own = await fetch(`${url}/links`, { headers: { cookie, connection: 'close' } })
    t.match(await own.json(), [{ code }], 'its maker sees it whichever worker he asks')
  }
  for (let n = 0; n < 12; n++) {
    const followed = await fetch(`${url}/${code}`, { redirect: 'manual', headers: { connection: 'close' } })
    t.equal(followed.status, 302)
  }
  const counted = async () => (await (await fetch(`${url}/links/${code}`)).json() as { clicks: number }).clicks
  await eventually('all clicks are counted', async () => await counted() === 12)
})

t.test('fastify-cli serves the same file in one process', async (t) => {
  const port = await freePort()
  const child = spawn(process.execPath, [join(root, 'node_modules/fastify-cli/cli.js'), 'start', 'server.ts', '-p', String(port), '-a', '127.0.0.1'], { cwd: root, stdio: 'ignore' })
  t.teardown(() => child.kill('SIGKILL'))
  await eventually('it serves', async () => (await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined))?.status === 200)
  const answer = await fetch(`http://127.0.0.1:${port}/links/nowhere`)
  t.equal(answer.status, 404)
})
