import { once } from 'node:events'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { front } from '../../plugins/front/index.ts'

const SIZE = 10 * 1024 ** 3
const MOST_RESIDENT = 400 * 1024 ** 2

for (const kind of ['Content-Length', 'Transfer-Encoding']) {
  t.test(`a body of 10 GB by ${kind} takes little memory`, { timeout: 600_000 }, async (t) => {
    let received = 0
    const server = front()((request, response) => {
      request.on('data', (chunk: Buffer) => { received += chunk.length })
      request.on('end', () => response.end('ok'))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    let answer = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => { answer += chunk })
    const isChunked = kind === 'Transfer-Encoding'
    const body = Buffer.alloc(1024 ** 2)
    const piece = isChunked ? Buffer.concat([Buffer.from('100000\r\n'), body, Buffer.from('\r\n')]) : body
    socket.write(`POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${kind}: ${isChunked ? 'chunked' : SIZE}\r\n\r\n`)
    let most = 0
    for (let sent = 0; sent < SIZE; sent += body.length) {
      if (!socket.write(piece)) await once(socket, 'drain')
      most = Math.max(most, process.memoryUsage.rss())
    }
    if (isChunked) socket.write('0\r\n\r\n')
    await once(socket, 'close')
    t.equal(received, SIZE)
    t.match(answer, /200 OK/)
    t.ok(most < MOST_RESIDENT, `${Math.round(most / 1024 ** 2)} MB`)
    server.close()
  })
}
