import { AsyncLocalStorage } from 'node:async_hooks'
import diagnostics from 'node:diagnostics_channel'
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { ServerResponse } from 'node:http'
import type { IncomingMessage, RequestListener, Server, ServerOptions } from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import t from 'tap'
import { front } from '../../plugins/front/index.ts'
import { GET, LAST, answered, both, ok, open } from './servers.ts'
import type { Client } from './servers.ts'

/* Settings of node:http's server hold with the front before it. */

t.jobs = 4

const [major] = process.versions.node.split('.').map(Number) as [number]
const OF_CONTEXT_FRAMES = major >= 24

/** Writes a text byte by byte. */
async function trickle ({ socket }: Client, piece: string, everyMs: number): Promise<void> {
  for (const byte of piece) {
    if (!socket.writable) return
    socket.write(byte)
    await sleep(everyMs)
  }
}

const HASTY: ServerOptions = { headersTimeout: 300, requestTimeout: 600, connectionsCheckingInterval: 50 }

both('a head that comes byte by byte is refused after headersTimeout', async (t, start) => {
  const { port } = await start(HASTY, ok)
  const client = open(port)
  const trickled = trickle(client, 'GET / HTTP/1.1\r\nHost: a\r\nX-Long: '.padEnd(200, 'x'), 20)
  const elapsedMs = await client.closed
  t.match(client.bytes(), /^HTTP\/1\.1 408 /)
  t.ok(elapsedMs > 250 && elapsedMs < 2000, `${elapsedMs} ms`)
  await trickled
})

both('a client that says nothing is refused after headersTimeout', async (t, start) => {
  const { server, port } = await start(HASTY, ok)
  const client = open(port)
  const elapsedMs = await client.closed
  t.match(client.bytes(), /^HTTP\/1\.1 408 /)
  t.ok(elapsedMs > 250 && elapsedMs < 2500, `${elapsedMs} ms`)
  server.once('clientError', (error: NodeJS.ErrnoException, socket) => {
    t.equal(error.code, 'ERR_HTTP_REQUEST_TIMEOUT', 'clientError tells why')
    socket.destroy(error)
  })
  const other = open(port)
  await other.closed
  t.equal(other.bytes(), '')
  let told = 0
  server.on('clientError', () => { told++ })
  const kept = open(port)
  await sleep(1500)
  t.equal(told, 1, 'once, and who listens decides')
  kept.socket.write(LAST)
  await kept.closed
  t.match(kept.bytes(), /200 OK/)
})

both('a body that comes byte by byte is refused after requestTimeout, and others are served', async (t, start) => {
  const { port } = await start(HASTY, (request, response) => {
    request.on('error', () => {})
    request.on('end', () => response.end('ok'))
    request.resume()
  })
  const client = open(port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n')
  const trickled = trickle(client, 'x'.repeat(1000), 20)
  const other = open(port, LAST)
  await other.closed
  t.match(other.bytes(), /200 OK/)
  const elapsedMs = await client.closed
  t.match(client.bytes(), /^HTTP\/1\.1 408 /)
  t.ok(elapsedMs > 500 && elapsedMs < 3000, `${elapsedMs} ms`)
  await trickled
})

both('an idle connection stays for keepAliveTimeout and keepAliveTimeoutBuffer', async (t, start) => {
  const { server, port } = await start({ keepAliveTimeout: 500, keepAliveTimeoutBuffer: 300 }, ok)
  const client = open(port, GET)
  const elapsedMs = await client.closed
  t.match(client.bytes(), /Keep-Alive: timeout=0\r\n/)
  t.ok(elapsedMs > 750 && elapsedMs < 4000, `${elapsedMs} ms`)
  const used = open(port, GET)
  for (let n = 0; n < 4; n++) {
    await sleep(300)
    used.socket.write(GET)
  }
  await answered(used, 5)
  t.equal(used.bytes().split('200 OK').length - 1, 5, 'one that is used is not idle')
  let heard = 0
  server.on('timeout', (socket: Socket) => { if (heard++ === 0) setTimeout(() => socket.destroy(), 100) })
  await used.closed
  t.equal(heard, 1, 'who listens to timeout decides')
})

both('no keepAliveTimeout lets them stay', async (t, start) => {
  const { port } = await start({ keepAliveTimeout: 0, keepAliveTimeoutBuffer: 0 }, ok)
  const client = open(port, GET)
  await sleep(1200)
  t.notOk(client.socket.destroyed)
  t.notMatch(client.bytes(), /Keep-Alive/)
  client.socket.destroy()
})

both('maxHeaderSize', async (t, start) => {
  const { port } = await start({ maxHeaderSize: 1024 }, ok)
  for (const [length, status] of [[100, 200], [700, 200], [1100, 431], [5000, 431]] as const) {
    const client = open(port, LAST.replace('Host: a', `Host: a\r\nX: ${'x'.repeat(length)}`))
    await client.closed
    t.match(client.bytes(), new RegExp(`^HTTP/1.1 ${status} `), `${length}`)
  }
})

both('maxConnections', async (t, start) => {
  const { server, port } = await start({}, ok)
  server.maxConnections = 2
  const clients = [open(port, GET), open(port, GET)]
  await Promise.all(clients.map((client) => answered(client)))
  const third = open(port, GET)
  await third.closed
  t.equal(third.bytes(), '')
  clients[0]!.socket.destroy()
  await sleep(50)
  const fourth = open(port, LAST)
  await fourth.closed
  t.match(fourth.bytes(), /200 OK/)
})

both('maxRequestsPerSocket', async (t, start) => {
  const { server, port } = await start({ keepAliveTimeout: 200, keepAliveTimeoutBuffer: 100 }, ok)
  server.maxRequestsPerSocket = 2
  const client = open(port, GET + GET + GET)
  await client.closed
  t.same([...client.bytes().matchAll(/HTTP\/1.1 (\d+)|Connection: (\S+)/g)].map(([, status, option]) => status ?? option), ['200', 'keep-alive', '200', 'close', '503', 'close'])
})

both('server.timeout', async (t, start) => {
  const { server, port } = await start({}, (request, response) => { if (request.url !== '/') ok(request, response) })
  server.setTimeout(200)
  const [silent, waiting, idle] = [open(port), open(port, GET), open(port, LAST.replace('close', 'keep-alive'))]
  const elapsedMs = await Promise.all([silent.closed, waiting.closed])
  t.ok(elapsedMs.every((ms) => ms > 150 && ms < 1500), `${elapsedMs}`)
  await answered(idle)
  idle.socket.destroy()
})

both('closeIdleConnections() closes what waits for a request; closeAllConnections() all', async (t, start) => {
  const { server, port } = await start({}, (request, response) => { if (request.url !== '/') ok(request, response) })
  const [silent, begun, waiting, idle] = [open(port), open(port, 'GET / HT'), open(port, GET), open(port, LAST.replace('close', 'keep-alive'))] as const
  await answered(idle)
  await sleep(50)
  server.closeIdleConnections()
  await idle.closed
  await sleep(50)
  t.same([begun, waiting].map(({ socket }) => socket.destroyed), [false, false])
  server.closeAllConnections()
  await Promise.all([begun.closed, waiting.closed])
  // Those on which nothing has come yet, some versions of node:http take for idle.
  silent.socket.destroy()
})

both('close() ends with the last request', async (t, start) => {
  const { server, port } = await start({}, async (request, response) => {
    await sleep(100)
    response.setHeader('connection', 'close')
    ok(request, response)
  })
  const client = open(port, GET)
  await sleep(30)
  const closed = once(server, 'close')
  server.close()
  await Promise.all([closed, client.closed])
  t.match(client.bytes(), /200 OK/)
})

both('a client that closes its side is answered when the server allows it', async (t, start) => {
  const { server, port } = await start({}, async (request, response) => {
    await sleep(30)
    ok(request, response)
  })
  Object.assign(server, { httpAllowHalfOpen: true })
  const client = open(port)
  client.socket.end(GET + GET)
  await client.closed
  t.equal(client.bytes().split('200 OK').length - 1, 2)
})

both('an application that throws in a request goes on with the others', async (t, start) => {
  // As when a process lives on after an uncaughtException.
  const { server, port } = await start({}, (request, response) => {
    if (request.url === '/throw') throw new Error('on purpose')
    ok(request, response)
  })
  const { emit } = server
  server.emit = function (this: Server, ...given: never[]) {
    try {
      return (emit as (...given: never[]) => boolean).apply(this, given)
    } catch (error) {
      (given[2] as unknown as ServerResponse).writeHead(500, { 'content-length': 0 }).end()
      return (error as Error).message === 'on purpose'
    }
  } as never
  const client = open(port, GET.replace('/', '/throw') + GET + LAST)
  await client.closed
  t.same([...client.bytes().matchAll(/HTTP\/1.1 (\d+)/g)].map(([, status]) => status), ['500', '200', '200'])
})

for (const [how, requests] of Object.entries({ 'after one another': [[GET], [GET.replace('/', '/later')], [GET]], 'behind one another': [[GET, GET.replace('/', '/later'), GET]] })) {
  both(`what one request enters the next one never sees, ${how}`, async (t, start) => {
    const storage = new AsyncLocalStorage<string>()
    const seen: Array<string | undefined> = []
    const { port } = await start({}, async (request, response) => {
      seen.push(storage.getStore())
      storage.enterWith(request.url!)
      if (request.url === '/later') await sleep(5)
      ok(request, response)
      storage.enterWith(`${request.url} afterwards`)
    })
    const client = open(port)
    for (const [n, texts] of requests.entries()) {
      client.socket.write(texts.join(''))
      await answered(client, (n + 1) * texts.length)
    }
    t.same(seen, [undefined, undefined, undefined], { skip: !OF_CONTEXT_FRAMES && 'with Node before 24 enterWith() stays with the connection, with node:http too' })
    client.socket.destroy()
  })
}

both('subscribers of the diagnostics channels hear of requests on connections that were there before', async (t, start) => {
  const { port } = await start({}, ok)
  const client = open(port, GET)
  await answered(client)
  let heard = 0
  const onStart = ({ request }: { request?: IncomingMessage }) => { if (request?.socket.remotePort === client.socket.localPort) heard++ }
  diagnostics.subscribe('http.server.request.start', onStart as never)
  client.socket.write(GET)
  await answered(client, 2)
  diagnostics.unsubscribe('http.server.request.start', onStart as never)
  t.equal(heard, 1)
  client.socket.destroy()
})

both('classes of one\'s own', async (t, start) => {
  class Own extends ServerResponse {
    hello = 'x'
  }
  let hello: unknown
  const { port } = await start({ ServerResponse: Own as never }, (request, response) => {
    ({ hello } = response as Own)
    ok(request, response)
  })
  await open(port, LAST).closed
  t.equal(hello, 'x')
})

t.test('over TLS', { skip: spawnSync('openssl', ['version']).status === 0 ? false : 'openssl makes the certificate, and is not installed' }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'front-tls-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', join(folder, 'key'), '-out', join(folder, 'cert')], { stdio: 'pipe' })
  const [key, cert] = [readFileSync(join(folder, 'key')), readFileSync(join(folder, 'cert'))]
  const play = async (serverOf: (listener: RequestListener) => Server) => {
    const log: unknown[] = []
    const server = serverOf((request, response) => {
      const socket = request.socket as tls.TLSSocket
      log.push([request.url, socket.encrypted, socket instanceof tls.TLSSocket, socket.alpnProtocol, socket.servername, socket.isSessionReused(), socket.getProtocol()])
      ok(request, response)
    })
    server.on('clientError', (error) => log.push(error.message))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    let session: Buffer | undefined
    for (let n = 0; n < 2; n++) {
      const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca: cert, ALPNProtocols: ['http/1.1'], session, maxVersion: 'TLSv1.2' })
      let bytes = ''
      socket.setEncoding('latin1').on('data', (chunk: string) => { bytes += chunk })
      await once(socket, 'secureConnect')
      session = socket.getSession()
      socket.write(GET)
      while (bytes.split('200 OK').length < 2) await sleep(2)
      socket.write(GET + 'POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' + LAST)
      await once(socket, 'close')
      log.push(bytes.replace(/Date: [^\r]*/g, 'Date'), socket.isSessionReused())
    }
    const other = open(port, GET)
    await other.closed
    server.close()
    return log
  }
  const [byNode, byFront] = await Promise.all([
    play((listener) => https.createServer({ key, cert }, listener)),
    play((listener) => front()(listener, { https: { key, cert } }))
  ])
  t.strictSame(byFront, byNode)
  t.ok(byNode.length >= 12)
})
