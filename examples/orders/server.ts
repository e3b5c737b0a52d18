/*
 * Orders of a small shop, on every core. `npm run example -- postgresql` (or mysql, redis) serves it.
 * In an application of yours the plugin is `import swoole from 'fastify-swoole'`.
 */
import createError from '@fastify/error'
import type { FastifyInstance } from 'fastify'
import swoole from '../../plugins/swoole.ts'
import * as schemas from './schemas.ts'
import * as mysql from './stores/mysql.ts'
import * as postgresql from './stores/postgresql.ts'
import * as redis from './stores/redis.ts'
import type { NewOrder, Page, Settings, StoreKind } from './stores/store.ts'

const STORES: Record<string, StoreKind> = { postgresql, mysql, redis }

const ProductTwiceError = createError('ORDER_PRODUCT_TWICE', 'An order has one line for each product: "%s" is in it twice', 400)
const UnknownOrderError = createError('ORDER_UNKNOWN', 'There is no order %s', 404)

export default async function shop (fastify: FastifyInstance, _options: object) {
  const { kind, settings } = readEnvironment()
  await fastify.register(swoole, { database: await kind.database(settings) })
  const orders = await kind.open(fastify, settings)

  fastify.get('/products', { schema: { response: { 200: schemas.products } } }, () => orders.products())

  fastify.post<{ Body: NewOrder }>('/orders', { schema: { body: schemas.newOrder, response: { 201: schemas.order } } }, async (request, reply) => {
    requireOneLineEach(request.body)
    const order = await orders.place(request.body)
    return reply.code(201).header('location', `/orders/${order.id}`).send(order)
  })

  fastify.get<{ Querystring: Page }>('/orders', { schema: { querystring: schemas.page, response: { 200: schemas.orders } } }, (request) => orders.list(request.query))

  fastify.get<{ Params: { id: number } }>('/orders/:id', { schema: { params: schemas.orderParams, response: { 200: schemas.order } } }, async ({ params: { id } }) => {
    return await orders.find(id) ?? unknown(id)
  })

  fastify.post<{ Params: { id: number } }>('/orders/:id/cancel', { schema: { params: schemas.orderParams, response: { 200: schemas.order } } }, async ({ params: { id } }) => {
    return await orders.cancel(id) ?? unknown(id)
  })

  // Beside /livez and /readyz, which say nothing of the database: without it, no worker would be ready, and all would be started anew.
  fastify.get('/health', { logLevel: 'silent', schema: { response: { 200: schemas.health, 503: schemas.health } } }, async (request, reply) => {
    const pools = Object.entries(fastify.pools).map(([name, pool]) => ({ name, ...pool.getStats() }))
    try {
      await orders.check()
      return { database: 'answers', pools }
    } catch (error) {
      request.log.warn({ err: error }, 'the database does not answer')
      return reply.code(503).send({ database: 'does not answer', pools })
    }
  })
}

function requireOneLineEach ({ lines }: NewOrder): void {
  const twice = lines.find(({ sku }, n) => lines.findIndex((line) => line.sku === sku) !== n)
  if (twice !== undefined) throw new ProductTwiceError(twice.sku)
}

function unknown (id: number): never {
  throw new UnknownOrderError(id)
}

/** STORE, DATABASE_URL and ORDERS_NAMESPACE. */
function readEnvironment (): { kind: StoreKind, settings: Settings } {
  const { STORE = 'postgresql', DATABASE_URL: url, ORDERS_NAMESPACE: namespace = 'fastify_swoole_orders' } = process.env
  const kind = Object.hasOwn(STORES, STORE) ? STORES[STORE] : undefined
  if (kind === undefined) throw new Error(`STORE is "${STORE}", but must be one of ${Object.keys(STORES).join(', ')}`)
  // It stands in statements where no parameter may.
  if (!/^[a-z][a-z0-9_]{0,50}$/.test(namespace)) throw new Error(`ORDERS_NAMESPACE is "${namespace}", but must be lower-case letters, digits and _`)
  return { kind, settings: { url, namespace } }
}
