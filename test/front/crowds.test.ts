import { spawn, spawnSync } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { front } from '../../plugins/front/index.ts'
import { FrontServer } from '../../plugins/front/server.ts'
import { GET, LAST, MEGABYTE, both, ok, open } from './servers.ts'
import type { Client } from './servers.ts'

/* Clients that send or read slowly, too much, or not at all, and many of them. One test after another: they look at the memory of the process. */

both('a client that does not read holds back who writes to it, and nobody else', async (t, start) => {
  let written = 0
  let closed: Promise<unknown> | undefined
  const chunk = Buffer.alloc(64 * 1024)
  const { port } = await start({}, (request, response) => {
    if (request.url === '/last') return ok(request, response)
    closed = once(response, 'close')
    const more = () => {
      while (!response.destroyed && written < 1000 * MEGABYTE) {
        written += chunk.length
        if (!response.write(chunk)) return response.once('drain', more)
      }
    }
    more()
  })
  const client = open(port, GET)
  client.socket.pause()
  await sleep(300)
  t.ok(written > 0 && written < 50 * MEGABYTE, `${written} bytes written`)
  const other = open(port, LAST)
  await other.closed
  t.match(other.bytes(), /200 OK/)
  client.socket.destroy()
  await closed
})

both('a client that does not read an answer of 20 MB costs no copy of it', async (t, start) => {
  const body = Buffer.alloc(20 * MEGABYTE)
  const { port } = await start({}, (_request, response) => response.writeHead(200, { 'content-length': body.length }).end(body))
  const before = process.memoryUsage().arrayBuffers
  const clients = Array.from({ length: 20 }, () => open(port, GET))
  for (const { socket } of clients) socket.pause()
  await sleep(300)
  const grown = (process.memoryUsage().arrayBuffers - before) / MEGABYTE
  t.ok(grown < 60, `${grown} MB`)
  for (const { socket } of clients) socket.destroy()
})

both('connections that are reset, at any time, end with a close and no error', async (t, start) => {
  const counted = new EventEmitter()
  let left = 60
  const { port } = await start({}, async (request, response) => {
    response.on('close', () => { if (--left === 0) counted.emit('all') })
    request.on('error', () => {})
    await sleep(Number(request.headers['x-wait']))
    response.writeHead(200, { 'content-length': 300_000 }).end(Buffer.alloc(300_000))
  })
  const clients = Array.from({ length: 60 }, (_, n) => open(port, `GET / HTTP/1.1\r\nHost: a\r\nX-Wait: ${n % 20}\r\n\r\n`))
  const all = once(counted, 'all')
  await Promise.all(clients.map(async ({ socket }, n) => {
    await once(socket, 'connect')
    await sleep(20 + n % 15)
    socket.resetAndDestroy()
  }))
  await all
  const other = open(port, LAST.replace('Host: a', 'Host: a\r\nX-Wait: 0'))
  await other.closed
  t.match(other.bytes(), /200 OK/)
})

both('a body of 1 GB takes little memory', async (t, start) => {
  const size = 1024 * MEGABYTE
  let received = 0
  const { port } = await start({}, (request, response) => {
    request.on('data', (chunk: Buffer) => { received += chunk.length })
    request.on('end', () => response.end('ok'))
  })
  const client = open(port, `POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${size}\r\n\r\n`)
  const chunk = Buffer.alloc(MEGABYTE)
  let most = 0
  for (let sent = 0; sent < size; sent += chunk.length) {
    if (!client.socket.write(chunk)) await once(client.socket, 'drain')
    if (sent % (64 * MEGABYTE) === 0) most = Math.max(most, process.memoryUsage().arrayBuffers)
  }
  await client.closed
  t.equal(received, size)
  t.match(client.bytes(), /200 OK/)
  t.ok(most < 200 * MEGABYTE, `${most / MEGABYTE} MB`)
})

both('10,000 requests behind one another are answered in their order', async (t, start) => {
  let n = 0
  const { port } = await start({}, (request, response) => {
    const own = String(n++)
    const answer = () => response.writeHead(200, { 'x-n': own, 'content-length': 0 }).end()
    if (n % 100 === 0) setImmediate(answer)
    else answer()
    request.resume()
  })
  const client = open(port, GET.repeat(10_000) + LAST)
  await client.closed
  const numbers = [...client.bytes().matchAll(/^x-n: (\d+)/gm)].map(([, number]) => Number(number))
  t.equal(numbers.length, 10_001)
  t.ok(numbers.every((number, index) => number === index))
})

t.test('10,000 pipelined requests that wait for the first are left in the socket', async (t) => {
  let release = (): void => {}
  const came = new EventEmitter()
  const server = front()((request, response) => {
    if (request.url !== '/') return ok(request, response)
    release = () => ok(request, response)
    came.emit('first', request.socket)
    request.resume()
    // Whoever goes on with the socket does not go on for all of them.
    setTimeout(() => request.socket.resume(), 100)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const long = `POST /next HTTP/1.1\r\nHost: a\r\nX-Long: ${'x'.repeat(500)}\r\nContent-Length: 2\r\n\r\n{}`
  const client = open((server.address() as AddressInfo).port, long.replace('/next', '/') + long.repeat(10_000) + LAST)
  const [socket] = await once(came, 'first') as [Socket]
  await sleep(300)
  t.ok(socket.bytesRead > 0 && socket.bytesRead < 400_000, `${socket.bytesRead} bytes read`)
  release()
  await client.closed
  t.equal(client.bytes().split('200 OK').length - 1, 10_002)
  server.close()
})

t.test('10,000 connections that come and go leave nothing', { timeout: 60_000 }, async (t) => {
  const subject = new FrontServer(http.createServer(ok), 'connection')
  const { server, connections } = subject
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const CHUNKS = 'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n'
  const kinds: Array<(client: Client) => void> = [
    ({ socket }) => socket.write(LAST),
    ({ socket }) => socket.write(CHUNKS),
    ({ socket }) => socket.end(GET),
    ({ socket }) => { socket.write('GET / HT', () => socket.resetAndDestroy()) },
    ({ socket }) => { socket.write(GET, () => socket.destroy()) },
    ({ socket }) => socket.end()
  ]
  const round = async (count: number) => {
    for (let n = 0; n < count; n += 100) {
      await Promise.all(Array.from({ length: 100 }, async (_, m) => {
        const client = open(port)
        kinds[m % kinds.length]!(client)
        await client.closed
      }))
    }
    while (connections.size > 0) await sleep(10)
  }
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const heapAfter = async (count: number) => {
    await round(count)
    await sleep(100)
    gc()
    return process.memoryUsage().heapUsed
  }
  const before = await heapAfter(1000)
  const after = await heapAfter(10_000)
  t.equal(connections.size, 0)
  const left = (after - before) / 10_000
  t.ok(left < 300, `${left} bytes of heap for each`)
  server.close()
})

const isThere = spawnSync('slowhttptest', ['-h']).error === undefined
t.test('others are served while slowhttptest attacks', { skip: isThere ? false : 'slowhttptest is not installed', timeout: 60_000 }, async (t) => {
  t.jobs = 3
  for (const [attack, flag] of [['heads that never end', '-H'], ['bodies that never end', '-B'], ['answers that are read slowly', '-X']] as const) {
    t.test(attack, { timeout: 30_000 }, async (t) => {
      const server = front({ headersTimeout: 1000, requestTimeout: 2000, connectionsCheckingInterval: 100 })((request, response) => {
        request.resume().on('end', () => response.end(request.url === '/last' ? 'ok' : 'x'.repeat(200_000)))
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      const attacker = spawn('slowhttptest', [flag, '-c', '150', '-r', '150', '-i', '1', '-l', '4', '-p', '1', '-u', `http://127.0.0.1:${port}/`], { stdio: ['ignore', 'pipe', 'ignore'] })
      const output = text(attacker.stdout)
      let served = 0
      let slowestMs = 0
      for (let isOver = false; !isOver;) {
        const other = open(port, LAST)
        slowestMs = Math.max(slowestMs, await other.closed)
        if (/200 OK[^]*ok/.test(other.bytes())) served++
        isOver = await Promise.race([output.then(() => true), sleep(50, false)])
      }
      t.ok(served > 20, `${served} others were served`)
      t.ok(slowestMs < 2000, `the slowest waited ${slowestMs} ms`)
      server.closeAllConnections()
      server.close()
    })
  }
})
