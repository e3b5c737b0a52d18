import { randomBytes } from 'node:crypto'
import { join, resolve } from 'node:path'
import { Redis } from 'ioredis'
import t from 'tap'
import type { Order, Product } from '../../examples/orders/stores/store.ts'
import { databaseFor, serverFor } from '../support/database-servers.ts'
import type { Server } from '../support/database-servers.ts'
import { eventually } from '../support/processes.ts'
import { makeProject, run, start, status } from '../support/project.ts'
import type { Running } from '../support/project.ts'

const example = resolve(import.meta.dirname, '../../examples/orders')
const STARTED = { beans: 100, filter: 500, grinder: 10 }

interface Test { teardown (end: () => unknown): void }

for (const kind of ['postgresql', 'mysql', 'redis'] as const) {
  t.test(`orders on ${kind}, from two workers`, async (t) => {
    const env = await environmentFor(t, kind)
    // Two that start at once on a database that is empty: one makes the tables.
    const folder = makeProject(t, {})
    const args = [join(example, 'server.ts'), '--project', folder, '--config', join(example, 'swoole.config.ts'), '--workers', '2']
    const app = await start(t, folder, args, { env })
    const shop = shopAt(app)

    await t.test('who asks for the last of a product at once gets it, or hears that there is none', async (t) => {
      const answers = await Promise.all(Array.from({ length: 60 }, (_, n) => shop.place(`customer ${n}`, { grinder: 1 })))
      const placed = answers.filter(({ code }) => code === 201)
      t.equal(placed.length, STARTED.grinder)
      t.equal(answers.filter(({ code, body }) => code === 409 && body.code === 'ORDER_OUT_OF_STOCK').length, 60 - STARTED.grinder)
      t.strictSame((await shop.stock()).grinder, 0)
      const ids = placed.map(({ body }) => body.id).sort((a, b) => b - a)
      t.strictSame((await shop.list('limit=100')).map(({ id }) => id), ids, 'no order is lost, and none is there twice')
      await eventually('both workers have answered', async () => (await status(folder)).workers.filter(({ role, requests }) => role === 'http' && requests > 0).length === 2)
    })

    await t.test('orders of several products and their ends keep the sum of what is there and what is ordered', async (t) => {
      const lows: number[] = []
      const over = new AbortController()
      const watching = (async () => {
        while (!over.signal.aborted) lows.push(Math.min(...Object.values(await shop.stock())))
      })()
      const outcomes = await Promise.all(Array.from({ length: 120 }, async (_, n) => {
        // In one order and in the other: they would wait for each other in a circle.
        const placed = await shop.place(`customer ${n % 7}`, n % 2 === 0 ? { beans: 2, filter: 3, grinder: n % 5 === 0 ? 1 : undefined } : { filter: 4, beans: 1 })
        if (placed.code !== 201 || n % 3 !== 0) return placed.code
        const ends = await Promise.all([shop.cancel(placed.body.id), shop.cancel(placed.body.id)])
        t.strictSame(ends.map(({ body }) => body.status), ['cancelled', 'cancelled'])
        return placed.code
      }))
      over.abort()
      await watching
      t.ok(lows.every((stock) => stock >= 0), `of ${lows.length} looks none has found less than nothing`)
      t.ok(outcomes.every((code) => code === 201 || code === 409), `the answers are ${[...new Set(outcomes)].join(', ')}`)
      t.ok(outcomes.includes(409))
      t.strictSame(await shop.accounts(), STARTED)
    })

    await t.test('what was ordered can be found, by its number and by its customer', async (t) => {
      const { code, body, location } = await shop.place('Ann "O\'Neil" \\ 雪 %$1?', { filter: 1 })
      t.equal(code, 201)
      t.equal(location, `/orders/${body.id}`)
      t.match(body, { customer: 'Ann "O\'Neil" \\ 雪 %$1?', status: 'placed', lines: [{ sku: 'filter', quantity: 1, priceCents: 390 }] })
      t.strictSame((await shop.get(location!)).body, body)
      t.strictSame(await shop.list(`customer=${encodeURIComponent(body.customer)}`), [body])
      t.strictSame((await shop.list(`before=${body.id}&limit=3`)).map(({ id }) => id < body.id), [true, true, true])
    })

    await t.test('what cannot be understood is refused with the reason, and changes nothing', async (t) => {
      const before = await shop.stock()
      const mistakes: Array<[body: unknown, code: number]> = [
        [{ customer: 'Ann', lines: [] }, 400],
        [{ customer: '', lines: [{ sku: 'beans', quantity: 1 }] }, 400],
        [{ customer: 'An\u0000n', lines: [{ sku: 'beans', quantity: 1 }] }, 400],
        [{ customer: 'Ann', lines: [{ sku: 'beans', quantity: -1 }] }, 400],
        [{ customer: 'Ann', lines: [{ sku: 'beans', quantity: 1.5 }] }, 400],
        [{ customer: 'Ann', lines: [{ sku: 'beans', quantity: 1 }, { sku: 'beans', quantity: 1 }] }, 400],
        // Of filters there are always some: all orders of before want fewer than there were.
        [{ customer: 'Ann', lines: [{ sku: 'filter', quantity: 1 }, { sku: 'tea', quantity: 1 }] }, 422]
      ]
      for (const [body, code] of mistakes) t.equal((await shop.post('/orders', body)).code, code, JSON.stringify(body))
      t.equal((await shop.get('/orders/0')).code, 400)
      t.equal((await shop.get('/orders/9007199254740991')).code, 404)
      t.equal((await shop.cancel(9007199254740991)).code, 404)
      t.strictSame(await shop.stock(), before)
    })

    await t.test('its health tells of the database and of the pool', async (t) => {
      t.match(await shop.get('/health'), { code: 200, body: { database: 'answers', pools: [{ name: kind, waiting: 0 }] } })
      t.equal((await shop.get('/readyz')).code, 200)
    })

    await t.test('all is there when it is started anew', async (t) => {
      const before = await shop.list('limit=100')
      t.match(await run(folder, ['stop'], env), { code: 0 })
      t.notMatch(app.output.stderr, /error|warn/i)
      const again = shopAt(await start(t, folder, args, { env }))
      t.strictSame(await again.list('limit=100'), before)
      t.strictSame(await again.accounts(), STARTED)
    })
  })
}

t.test('a database that is none of them is told at the start', async (t) => {
  const folder = makeProject(t, {})
  const { code, stderr } = await run(folder, ['start', join(example, 'server.ts'), '--project', folder, '--port', '0'], { STORE: 'mongodb' })
  t.equal(code, 1)
  t.match(stderr, 'STORE is "mongodb", but must be one of postgresql, mysql, redis')
})

/** A database, or a prefix of keys, of the test's own. */
async function environmentFor (t: Test, kind: 'postgresql' | 'mysql' | 'redis'): Promise<NodeJS.ProcessEnv> {
  const env = (server: Server, namespace: string, path = '') => ({ STORE: kind, DATABASE_URL: urlOf(kind, server, path), ORDERS_NAMESPACE: namespace })
  if (kind === 'redis') {
    const server = await serverFor(kind)
    const namespace = `test_${randomBytes(6).toString('hex')}`
    t.teardown(async () => {
      const { host, port, user, password } = server
      const redis = new Redis({ host, port, ...(user ? { username: user } : {}), ...(password ? { password } : {}) })
      await redis.del(...await redis.keys(`{${namespace}}:*`))
      redis.disconnect()
    })
    return env(server, namespace)
  }
  const server = await databaseFor(t, kind)
  return kind === 'mysql' ? env(server, server.database) : env(server, 'orders', server.database)
}

function urlOf (kind: string, { host, port, user = '', password = '' }: Server, path: string): string {
  const url = new URL(`${kind}://${host}:${port}/${path}`)
  url.username = encodeURIComponent(user)
  url.password = encodeURIComponent(password)
  return url.href
}

interface Answer<T> {
  code: number
  body: T
  location: string | null
}

type Placed = Order & { code?: string }

/** Each request has a connection of its own, so that both workers get some. */
function shopAt ({ url }: Running) {
  const ask = async <T>(path: string, init: RequestInit = {}): Promise<Answer<T>> => {
    const response = await fetch(`${url}${path}`, { ...init, headers: { ...init.headers, connection: 'close' } })
    return { code: response.status, body: await response.json() as T, location: response.headers.get('location') }
  }
  const shop = {
    get: (path: string) => ask<Record<string, unknown>>(path),
    post: (path: string, body: unknown) => ask<Placed>(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    place (customer: string, quantities: Record<string, number | undefined>) {
      const lines = Object.entries(quantities).flatMap(([sku, quantity]) => quantity === undefined ? [] : { sku, quantity })
      return shop.post('/orders', { customer, lines })
    },
    cancel: (id: number) => ask<Placed>(`/orders/${id}/cancel`, { method: 'POST' }),
    list: async (query: string) => (await ask<Order[]>(`/orders?${query}`)).body,
    stock: async (): Promise<Record<string, number>> => Object.fromEntries((await ask<Product[]>('/products')).body.map(({ sku, stock }) => [sku, stock])),
    /** What there is of each product, and with those who have ordered it. */
    async accounts () {
      const sums = await shop.stock()
      for (let before = '', orders: Order[]; (orders = await shop.list(`limit=100${before}`)).length > 0; before = `&before=${orders.at(-1)!.id}`) {
        for (const { status, lines } of orders) {
          for (const { sku, quantity } of lines) if (status === 'placed') sums[sku]! += quantity
        }
      }
      return sums
    }
  }
  return shop
}
