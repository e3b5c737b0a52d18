import { createServer as createHttpServer } from 'node:http'
import type { RequestListener, Server } from 'node:http'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import t from 'tap'
import { front } from '../../plugins/front/index.ts'
import { eventually } from '../support/processes.ts'
import { GET, ok } from './servers.ts'

/* Connections that another server has accepted, and of which it may have read, are given to the server by its event, as protocol switches do. */

const KINDS = { 'node:http': (listener: RequestListener) => createHttpServer(listener), 'the front': (listener: RequestListener) => front()(listener) }

const WAYS: Record<string, (socket: Socket, web: Server) => void> = {
  'at once': (socket, web) => web.emit('connection', socket),
  'when bytes are in its stream': (socket, web) => { setTimeout(() => web.emit('connection', socket), 30) },
  'after a look at what it begins with': (socket, web) => {
    socket.once('data', (first) => {
      socket.pause()
      socket.unshift(first)
      web.emit('connection', socket)
      socket.resume()
    })
  },
  'with its first bytes as an event': (socket, web) => {
    socket.once('data', (first) => {
      socket.pause()
      web.emit('connection', socket)
      socket.emit('data', first)
      socket.resume()
    })
  },
  'while it is paused': (socket, web) => {
    socket.pause()
    setTimeout(() => {
      web.emit('connection', socket)
      socket.resume()
    }, 30)
  }
}

for (const [kind, serverOf] of Object.entries(KINDS)) {
  for (const [way, give] of Object.entries(WAYS)) {
    t.test(`a connection that is given ${way} is served by ${kind}`, async (t) => {
      const web = serverOf(ok)
      const server = createServer((socket) => give(socket, web)).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
      t.teardown(() => { client.destroy(); web.closeAllConnections(); server.close() })
      let answers = 0
      client.setEncoding('latin1').on('data', (text: string) => { answers += text.split('HTTP/1.1 200').length - 1 })
      for (let expected = 1; expected <= 3; expected++) {
        client.write(GET)
        await eventually(`answer ${expected}`, () => answers === expected)
      }
    })
  }
}
