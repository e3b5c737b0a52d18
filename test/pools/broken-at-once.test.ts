import fastify from 'fastify'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import postgres from '../../plugins/postgres/index.ts'
import { serverFor } from '../support/database-servers.ts'
import { failOnUncaught } from './subjects.ts'

failOnUncaught(t)

/** What a server says before it closes a connection. */
function goodbye (): Buffer {
  const fields = Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0')
  const head = Buffer.alloc(5)
  head.write('E')
  head.writeUInt32BE(fields.length + 4, 1)
  return Buffer.concat([head, fields])
}

t.test('a connection that is ended in the packet that opens it is lent to nobody, and its error is nobody\'s', async t => {
  const server = await serverFor('postgresql')
  let made = 0
  const relay = createServer((client) => {
    const isDoomed = [2, 3].includes(++made)
    const upstream = connect(server.port, server.host)
    upstream.on('data', (chunk: Buffer) => {
      // A login ends with ReadyForQuery: Z, its length, and that no transaction is open.
      if (!isDoomed || !chunk.subarray(-6).equals(Buffer.from('Z\0\0\0\x05I'))) return client.write(chunk)
      client.end(Buffer.concat([chunk, goodbye()]))
      upstream.destroy()
    })
    client.on('data', (chunk) => upstream.write(chunk))
    for (const [one, other] of [[client, upstream], [upstream, client]] as const) {
      one.on('error', () => {})
      one.on('close', () => other.destroy())
    }
  })
  relay.listen(0, '127.0.0.1')
  await once(relay, 'listening')
  t.teardown(() => relay.close())
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(postgres, { ...server, host: '127.0.0.1', port: (relay.address() as AddressInfo).port, poolSize: 4 })
  const numbers = [1, 2, 3, 4, 5, 6]
  const answers = await Promise.all(numbers.map(async (number) => (await app.pools.postgresql.query('SELECT $1::int AS n', [number]))[0]!.n))
  t.strictSame(answers, numbers)
  const lent = await Promise.all([1, 2, 3].map(() => app.pools.postgresql.get()))
  for (const client of lent) t.equal((await client.query('SELECT 1 AS n')).rows[0].n, 1)
  for (const client of lent) app.pools.postgresql.put(client)
  t.ok(made > 3, `${made} connections were made`)
})
