import type { FastifyInstance } from 'fastify'
import mysql2 from 'mysql2/promise'
import type { MysqlClient, MysqlPool } from '../../../plugins/mysql/index.ts'
import { readMigrations } from './migrations.ts'
import { OutOfStockError, UnknownProductError, inOneOrder } from './store.ts'
import type { NewOrder, Order, OrderLine, Page, Product, Settings, Store } from './store.ts'

const DEFAULT_URL = 'mysql://root@127.0.0.1:3306'

export async function database ({ url = DEFAULT_URL, namespace }: Settings) {
  // A pool connects to a database, so that has to be there before.
  const connection = await mysql2.createConnection(url)
  await connection.query(`CREATE DATABASE IF NOT EXISTS ${namespace}`)
  await connection.end()
  const own = new URL(url)
  own.pathname = namespace
  return {
    mysql: {
      url: own.href,
      poolSize: 10,
      // All workers together, also while a reload has old ones and new ones.
      maxPerMachine: 20,
      clientOptions: { timezone: 'Z' }
    }
  }
}

export async function open ({ pools }: FastifyInstance, { namespace }: Settings): Promise<Store> {
  await migrate(pools.mysql, namespace)
  return new MysqlStore(pools.mysql)
}

const LOCK_SECONDS = 30

/** With a lock: of several workers that start, the first does it. What makes tables ends a transaction, so each file may be run again. */
async function migrate (pool: MysqlPool, namespace: string): Promise<void> {
  const migrations = await readMigrations('mysql')
  // When the connection is put back, its locks are let go.
  await pool.withConnection(async (connection) => {
    const [[row]] = await connection.execute('SELECT GET_LOCK(?, ?) AS isOurs', [`${namespace} migrations`, LOCK_SECONDS]) as unknown as [Array<{ isOurs: number }>]
    if (row?.isOurs !== 1) throw new Error(`another worker has been busy with the migrations for ${LOCK_SECONDS} s`)
    await connection.query('CREATE TABLE IF NOT EXISTS migrations (name varchar(100) PRIMARY KEY, run_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP)')
    const [rows] = await connection.query('SELECT name FROM migrations') as unknown as [Array<{ name: string }>]
    const done = new Set(rows.map(({ name }) => name))
    for (const { name, sql } of migrations.filter(({ name }) => !done.has(name))) {
      for (const statement of sql.split(/;\s*(?:\n|$)/).filter((text) => text.trim() !== '')) await connection.query(statement)
      await connection.execute('INSERT INTO migrations (name) VALUES (?)', [name])
    }
  })
}

type OrderRow = Omit<Order, 'placedAt' | 'lines'> & { placedAt: Date }
type LineRow = OrderLine & { orderId: number }

const ORDER = 'SELECT id, customer, status, placed_at AS placedAt FROM orders'

class MysqlStore implements Store {
  readonly #pool: MysqlPool

  constructor (pool: MysqlPool) {
    this.#pool = pool
  }

  products (): Promise<Product[]> {
    return this.#pool.query<Product>('SELECT sku, name, price_cents AS priceCents, stock FROM products ORDER BY sku')
  }

  async place ({ customer, lines }: NewOrder): Promise<Order> {
    const id = await this.#pool.transaction(async (connection) => {
      const taken = []
      for (const { sku, quantity } of inOneOrder(lines)) taken.push({ sku, quantity, priceCents: await this.#take(connection, sku, quantity) })
      const [{ insertId }] = await connection.execute('INSERT INTO orders (customer) VALUES (?)', [customer]) as unknown as [{ insertId: number }]
      for (const { sku, quantity, priceCents } of taken) {
        await connection.execute('INSERT INTO order_lines (order_id, sku, quantity, price_cents) VALUES (?, ?, ?, ?)', [insertId, sku, quantity, priceCents])
      }
      return insertId
    }, { retries: 3 })
    return (await this.find(id))!
  }

  async find (id: number): Promise<Order | undefined> {
    const [order] = await this.#withLines(await this.#pool.query<OrderRow>(`${ORDER} WHERE id = ?`, [id]))
    return order
  }

  async list ({ customer, before, limit }: Page): Promise<Order[]> {
    const conditions = [...customer === undefined ? [] : ['customer = ?'], ...before === undefined ? [] : ['id < ?']]
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`
    const params = [customer, before, String(limit)].filter((value) => value !== undefined)
    return await this.#withLines(await this.#pool.query<OrderRow>(`${ORDER} ${where} ORDER BY id DESC LIMIT ?`, params))
  }

  async cancel (id: number): Promise<Order | undefined> {
    await this.#pool.transaction(async (connection) => {
      const [{ affectedRows }] = await connection.execute("UPDATE orders SET status = 'cancelled' WHERE id = ? AND status = 'placed'", [id]) as unknown as [{ affectedRows: number }]
      if (affectedRows === 0) return
      const [lines] = await connection.execute('SELECT sku, quantity FROM order_lines WHERE order_id = ? ORDER BY sku', [id]) as unknown as [OrderLine[]]
      for (const { sku, quantity } of lines) await connection.execute('UPDATE products SET stock = stock + ? WHERE sku = ?', [quantity, sku])
    }, { retries: 3 })
    return await this.find(id)
  }

  check (): Promise<unknown> {
    return this.#pool.query('SELECT 1')
  }

  /** What one costs. */
  async #take (connection: MysqlClient, sku: string, quantity: number): Promise<number> {
    const [{ affectedRows }] = await connection.execute('UPDATE products SET stock = stock - ? WHERE sku = ? AND stock >= ?', [quantity, sku, quantity]) as unknown as [{ affectedRows: number }]
    const [[product]] = await connection.execute('SELECT price_cents AS priceCents FROM products WHERE sku = ?', [sku]) as unknown as [Array<{ priceCents: number }>]
    if (product === undefined) throw new UnknownProductError(sku)
    if (affectedRows === 0) throw new OutOfStockError(sku)
    return product.priceCents
  }

  async #withLines (orders: OrderRow[]): Promise<Order[]> {
    if (orders.length === 0) return []
    const lines = await this.#pool.query<LineRow>(
      `SELECT order_id AS orderId, sku, quantity, price_cents AS priceCents FROM order_lines WHERE order_id IN (${orders.map(() => '?').join(', ')}) ORDER BY sku`,
      orders.map(({ id }) => id))
    return orders.map((order) => ({
      ...order,
      placedAt: order.placedAt.toISOString(),
      lines: lines.filter(({ orderId }) => orderId === order.id).map(({ sku, quantity, priceCents }) => ({ sku, quantity, priceCents }))
    }))
  }
}
