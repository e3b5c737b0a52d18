import { ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { front } from '../../plugins/front/index.ts'
import { ok } from './servers.ts'

t.test('who puts a method in the place of one of node:http\'s responses, as agents do, sees all of them', async (t) => {
  const server = front()(ok).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.closeAllConnections(); server.close() })
  const ask = async () => await (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)).text()
  for (const name of ['writeHead', 'end'] as const) {
    const method = ServerResponse.prototype[name] as (...given: unknown[]) => unknown
    let seen = 0
    ServerResponse.prototype[name] = function (this: ServerResponse, ...given: unknown[]) {
      seen++
      return method.apply(this, given)
    } as never
    await ask()
    await ask()
    ServerResponse.prototype[name] = method as never
    t.equal(seen, 2, name)
    t.equal(await ask(), 'ok')
  }
})
