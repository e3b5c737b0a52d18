/*
 * A URL shortener, on every core. `npm start` serves it; `fastify start server.ts` serves the same file in one process.
 * In an application of yours the plugin is `import swoole from 'fastify-swoole'`.
 */
import { createHash } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import * as http from 'node:http'
import * as https from 'node:https'
import { BlockList } from 'node:net'
import createError from '@fastify/error'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import swoole, { int, string } from './plugins/swoole.ts'
import options from './swoole.config.ts'

declare module 'fastify' {
  interface Session {
    /** Codes of the links that were made in this session, the newest first. */
    links?: string[]
  }
}

const InvalidUrlError = createError('LINK_URL_INVALID', 'The url is %s, but must be an absolute http or https URL', 400)
const UnknownCodeError = createError('LINK_UNKNOWN', 'There is no link with the code "%s"', 404)

const MOST_LINKS = 10_000
const URL_BYTES = 500
const MOST_OWN_LINKS = 50

const codeParams = { type: 'object', properties: { code: { type: 'string', maxLength: 64 } } } as const
const newLink = {
  type: 'object',
  required: ['url'],
  additionalProperties: false,
  properties: { url: { type: 'string', maxLength: URL_BYTES } }
} as const
const link = {
  type: 'object',
  properties: { code: { type: 'string' }, url: { type: 'string' }, clicks: { type: 'integer' }, state: { type: 'string' } }
} as const
const figures = {
  type: 'object',
  properties: { links: { type: 'integer' }, clicks: { type: 'integer' }, at: { type: 'string' } }
} as const

export default async function shortener (fastify: FastifyInstance, _options: object) {
  await fastify.register(swoole, options)

  // Every worker sees the same table, and it outlives them all.
  const links = fastify.table('links', { rows: MOST_LINKS, columns: { url: string(URL_BYTES), clicks: int(), state: string(40) } })
  const clicks = fastify.queue<string>('clicks')
  clicks.consume(async (code) => {
    links.incr(code, 'clicks')
    await fastify.cache.invalidateTags(`link ${code}`)
  })

  // The answer does not wait for another server: a task worker asks it.
  fastify.taskWorker.registerHandler<string>('check link', async (code, { signal }) => {
    const link = links.get(code)
    if (link === undefined) return
    links.set(code, { state: await stateOf(link.url, signal) })
    await fastify.cache.invalidateTags(`link ${code}`)
  }, { concurrency: 8, timeout: '10s' })

  // Once for all workers.
  const total = fastify.table('figures', { rows: 1, columns: { links: int(), clicks: int(), at: string(24) } })
  fastify.scheduler.schedule('figures', ({ scheduledFor }) => {
    let clicks = 0
    for (const [, link] of links.entries()) clicks += link.clicks
    total.set('all', { links: links.count, clicks, at: scheduledFor.toISOString() })
  }, { interval: '10s', immediate: true })

  const findLink = (code: string) => {
    const link = links.get(code)
    if (link === undefined) throw new UnknownCodeError(code)
    return { code, ...link }
  }

  // The same limit whichever worker answers.
  const rateLimiter = { maxRequests: 60, window: '1m' }
  fastify.post<{ Body: { url: string } }>('/links', { config: { rateLimiter }, schema: { body: newLink, response: { 201: link } } }, async (request, reply) => {
    const url = parseUrl(request.body.url)
    const code = createHash('sha256').update(url).digest('base64url').slice(0, 10)
    const isNew = !links.has(code)
    links.set(code, { url, ...isNew && { state: 'not checked yet' } })
    if (isNew) await fastify.taskWorker.dispatch('check link', code)
    const own = request.session.links ?? []
    request.session.links = [code, ...own.filter((other) => other !== code)].slice(0, MOST_OWN_LINKS)
    return reply.code(201).header('location', `/links/${code}`).send(findLink(code))
  })

  fastify.get('/links', { schema: { response: { 200: { type: 'array', items: link } } } }, async (request) => {
    return (request.session.links ?? []).flatMap((code) => links.has(code) ? findLink(code) : [])
  })

  // Answered from the cache until the next click; with a cookie it is made anew.
  const cache = { ttl: '1m', tags: (request: FastifyRequest) => [`link ${(request.params as { code: string }).code}`] }
  fastify.get<{ Params: { code: string } }>('/links/:code', { config: { cache }, schema: { params: codeParams, response: { 200: link } } }, async (request) => findLink(request.params.code))

  fastify.get<{ Params: { code: string } }>('/:code', { schema: { params: codeParams } }, async (request, reply) => {
    const { code, url } = findLink(request.params.code)
    if (!await clicks.push(code)) request.log.warn({ code }, 'the queue is full: a click was not counted')
    return reply.redirect(url, 302)
  })

  fastify.get('/figures', { schema: { response: { 200: figures } } }, async () => total.get('all') ?? { links: 0, clicks: 0, at: '' })

  fastify.get('/', async (_request, reply) => reply.type('text/html; charset=utf-8').send(PAGE))
}

function parseUrl (text: string): string {
  const url = URL.parse(text)
  if (url === null || !['http:', 'https:'].includes(url.protocol)) throw new InvalidUrlError(JSON.stringify(text.slice(0, 80)))
  return url.href
}

/** Whether the link leads anywhere. A host of a private network is not asked: through this server a stranger could reach it. */
async function stateOf (text: string, signal: AbortSignal): Promise<string> {
  const url = new URL(text)
  try {
    const found = await lookup(url.hostname.replace(/^\[|\]$/g, ''), { all: true })
    const host = found.find(({ address, family }) => !PRIVATE.check(address, family === 6 ? 'ipv6' : 'ipv4'))
    if (host === undefined) return 'not checked: a private address'
    const { request } = url.protocol === 'https:' ? https : http
    // It is the address that was looked at, whatever the name stands for by now.
    const asked = request(url, { method: 'HEAD', signal, lookup: (_name, { all }, done) => all ? done(null, [host]) : done(null, host.address, host.family) })
    asked.end()
    const [{ statusCode }] = await once(asked, 'response', { signal }) as [http.IncomingMessage]
    asked.destroy()
    return statusCode! < 400 ? 'found' : `answers ${statusCode}`
  } catch {
    return 'not found'
  }
}

const PRIVATE = new BlockList()
const SUBNETS = ['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.168.0.0/16', '198.18.0.0/15', '224.0.0.0/3',
  '::/127', '::ffff:0:0/96', '64:ff9b::/96', 'fc00::/7', 'fe80::/10', 'ff00::/8']
for (const subnet of SUBNETS) {
  const [address, bits] = subnet.split('/') as [string, string]
  PRIVATE.addSubnet(address, Number(bits), address.includes(':') ? 'ipv6' : 'ipv4')
}

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Shorten a link</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 4rem auto; padding: 0 1rem }
  form { display: flex; gap: .5rem }
  input { flex: 1; padding: .5rem; font: inherit }
  button { padding: .5rem 1rem; font: inherit }
</style>
<h1>Shorten a link</h1>
<form>
  <input name="url" type="url" required placeholder="https://example.com/a/long/path" aria-label="URL">
  <button>Shorten</button>
</form>
<p aria-live="polite"></p>
<h2 hidden>My links</h2>
<ul></ul>
<script>
  const answer = document.querySelector('p')
  const anchorOf = ({ code }) => {
    const anchor = document.createElement('a')
    anchor.href = anchor.textContent = new URL(code, location.href)
    return anchor
  }
  const showOwn = async () => {
    const links = await (await fetch('/links')).json()
    document.querySelector('h2').hidden = links.length === 0
    document.querySelector('ul').replaceChildren(...links.map((link) => {
      const item = document.createElement('li')
      item.append(anchorOf(link), ' (' + link.clicks + ' clicks, ' + link.state + ')')
      return item
    }))
  }
  showOwn()
  document.querySelector('form').addEventListener('submit', async (event) => {
    event.preventDefault()
    const url = event.target.elements.url.value
    const response = await fetch('/links', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ url }) })
    const link = await response.json()
    if (!response.ok) { answer.textContent = link.message; return }
    answer.replaceChildren(anchorOf(link))
    showOwn()
  })
</script>
</html>
`
