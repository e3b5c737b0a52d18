import type { FastifyInstance } from 'fastify'
import type { RedisPool } from '../../../plugins/redis/index.ts'
import { OutOfStockError, UnknownProductError } from './store.ts'
import type { NewOrder, Order, OrderLine, Page, Product, Settings, Store } from './store.ts'

const DEFAULT_URL = 'redis://127.0.0.1:6379'

const PRODUCTS: Product[] = [
  { sku: 'beans', name: 'Coffee beans, 1 kg', priceCents: 1890, stock: 100 },
  { sku: 'filter', name: 'Paper filters, 100', priceCents: 390, stock: 500 },
  { sku: 'grinder', name: 'Hand grinder', priceCents: 8900, stock: 10 }
]

export async function database ({ url }: Settings) {
  // All workers together: each has one that all its commands share.
  return { redis: { url: url ?? DEFAULT_URL, poolSize: 4, maxPerMachine: 40 } }
}

export async function open ({ pools }: FastifyInstance, { namespace }: Settings): Promise<Store> {
  const store = new RedisStore(pools.redis, namespace)
  // Of several workers that start, the first has a say about each.
  for (const product of PRODUCTS) await store.add(product)
  return store
}

/*
 * Keys, with one hash tag so that a cluster has them together:
 *
 *     {namespace}:products          hash: sku, name and price as JSON
 *     {namespace}:stock             hash: sku, how many there are
 *     {namespace}:last              the last id of an order
 *     {namespace}:order:<id>        the order as JSON
 *     {namespace}:orders            sorted set: ids of all orders
 *     {namespace}:orders:<customer> sorted set: those of a customer
 *
 * What changes several of them is a script, which nobody can come between.
 */

/** KEYS: products, stock, order, orders, orders of the customer. ARGV: the id, the order without prices. An order, or what is wrong and with which product. */
const PLACE = `
  local order = cjson.decode(ARGV[2])
  for _, line in ipairs(order.lines) do
    local product = redis.call('HGET', KEYS[1], line.sku)
    if not product then return { 'unknown', line.sku } end
    if tonumber(redis.call('HGET', KEYS[2], line.sku)) < line.quantity then return { 'out of stock', line.sku } end
    line.priceCents = cjson.decode(product).priceCents
  end
  for _, line in ipairs(order.lines) do redis.call('HINCRBY', KEYS[2], line.sku, -line.quantity) end
  local text = cjson.encode(order)
  redis.call('SET', KEYS[3], text)
  redis.call('ZADD', KEYS[4], ARGV[1], ARGV[1])
  redis.call('ZADD', KEYS[5], ARGV[1], ARGV[1])
  return { 'placed', text }`

/** KEYS: stock, order. */
const CANCEL = `
  local text = redis.call('GET', KEYS[2])
  if not text then return false end
  local order = cjson.decode(text)
  if order.status == 'cancelled' then return text end
  for _, line in ipairs(order.lines) do redis.call('HINCRBY', KEYS[1], line.sku, line.quantity) end
  order.status = 'cancelled'
  text = cjson.encode(order)
  redis.call('SET', KEYS[2], text)
  return text`

class RedisStore implements Store {
  readonly #pool: RedisPool
  readonly #namespace: string

  constructor (pool: RedisPool, namespace: string) {
    this.#pool = pool
    this.#namespace = namespace
  }

  /** Unless it is there. */
  async add ({ sku, name, priceCents, stock }: Product): Promise<void> {
    await this.#pool.command('hsetnx', this.#key('stock'), sku, stock)
    await this.#pool.command('hsetnx', this.#key('products'), sku, JSON.stringify({ name, priceCents }))
  }

  async products (): Promise<Product[]> {
    const [products, stock] = await Promise.all([this.#pool.hgetall(this.#key('products')), this.#pool.hgetall(this.#key('stock'))])
    return Object.keys(products).sort().map((sku) => ({ sku, ...JSON.parse(products[sku]!), stock: Number(stock[sku]) }))
  }

  async place ({ customer, lines }: NewOrder): Promise<Order> {
    // As with a sequence, the id of an order that cannot be placed is given to no other.
    const id = await this.#pool.incr(this.#key('last'))
    const order = { id, customer, status: 'placed', placedAt: new Date().toISOString(), lines: lines.map(({ sku, quantity }) => ({ sku, quantity })) }
    const keys = ['products', 'stock', `order:${id}`, 'orders', `orders:${customer}`].map((name) => this.#key(name))
    const [outcome, text] = await this.#pool.command('eval', PLACE, keys.length, ...keys, id, JSON.stringify(order)) as [string, string]
    if (outcome === 'unknown') throw new UnknownProductError(text)
    if (outcome === 'out of stock') throw new OutOfStockError(text)
    return orderOf(text)
  }

  async find (id: number): Promise<Order | undefined> {
    const text = await this.#pool.getValue(this.#key(`order:${id}`))
    return text === null ? undefined : orderOf(text)
  }

  async list ({ customer, before, limit }: Page): Promise<Order[]> {
    const index = this.#key(customer === undefined ? 'orders' : `orders:${customer}`)
    const newest = before === undefined ? '+inf' : `(${before}`
    const ids = await this.#pool.command('zrange', index, newest, '-inf', 'byscore', 'rev', 'limit', 0, limit) as string[]
    if (ids.length === 0) return []
    const texts = await this.#pool.command('mget', ...ids.map((id) => this.#key(`order:${id}`))) as string[]
    return texts.map(orderOf)
  }

  async cancel (id: number): Promise<Order | undefined> {
    const keys = ['stock', `order:${id}`].map((name) => this.#key(name))
    const text = await this.#pool.command('eval', CANCEL, keys.length, ...keys) as string | null
    return text === null ? undefined : orderOf(text)
  }

  check (): Promise<unknown> {
    return this.#pool.command('ping')
  }

  #key (name: string): string {
    return `{${this.#namespace}}:${name}`
  }
}

function orderOf (text: string): Order {
  const order = JSON.parse(text) as Order
  return { ...order, lines: order.lines.toSorted((a: OrderLine, b: OrderLine) => a.sku < b.sku ? -1 : 1) }
}
