/* Holds connections open that have asked once. Arguments: port, how many. Says "ready". */
import { connect } from 'node:net'
import type { Socket } from 'node:net'

const [port, count] = process.argv.slice(2).map(Number) as [number, number]
const AT_ONCE = 100
const sockets: Socket[] = []

function open (): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'))
    socket.once('data', () => resolve())
    socket.once('error', reject)
    sockets.push(socket)
  })
}

while (sockets.length < count) await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - sockets.length) }, open))
process.stdout.write('ready\n')
