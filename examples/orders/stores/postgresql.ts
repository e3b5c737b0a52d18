import type { FastifyInstance } from 'fastify'
import type { PostgresClient, PostgresPool } from '../../../plugins/postgres/index.ts'
import { readMigrations } from './migrations.ts'
import { OutOfStockError, UnknownProductError, inOneOrder } from './store.ts'
import type { NewOrder, Order, Page, Product, Settings, Store } from './store.ts'

const DEFAULT_URL = 'postgresql://postgres@127.0.0.1:5432/postgres'

export async function database ({ url, namespace }: Settings) {
  return {
    postgresql: {
      url: url ?? DEFAULT_URL,
      poolSize: 10,
      // All workers together, also while a reload has old ones and new ones.
      maxPerMachine: 20,
      clientOptions: { options: `-c search_path=${namespace}` }
    }
  }
}

export async function open ({ pools }: FastifyInstance, { namespace }: Settings): Promise<Store> {
  await migrate(pools.postgresql, namespace)
  return new PostgresStore(pools.postgresql)
}

/** In one transaction, with a lock that is let go at its end: of several workers that start, the first does it. */
async function migrate (pool: PostgresPool, namespace: string): Promise<void> {
  const migrations = await readMigrations('postgresql')
  await pool.transaction(async (client) => {
    await client.query('SELECT pg_advisory_xact_lock(hashtext($1))', [`migrations of ${namespace}`])
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${namespace}`)
    await client.query('CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, run_at timestamptz NOT NULL DEFAULT now())')
    const { rows } = await client.query('SELECT name FROM migrations')
    const done = new Set(rows.map(({ name }) => name))
    for (const { name, sql } of migrations.filter(({ name }) => !done.has(name))) {
      await client.query(sql)
      await client.query('INSERT INTO migrations (name) VALUES ($1)', [name])
    }
  })
}

const ORDER = `
  SELECT o.id::float8 AS id, o.customer, o.status, o.placed_at AS "placedAt",
         json_agg(json_build_object('sku', l.sku, 'quantity', l.quantity, 'priceCents', l.price_cents) ORDER BY l.sku) AS lines
  FROM orders o JOIN order_lines l ON l.order_id = o.id`

type OrderRow = Omit<Order, 'placedAt'> & { placedAt: Date }

class PostgresStore implements Store {
  readonly #pool: PostgresPool

  constructor (pool: PostgresPool) {
    this.#pool = pool
  }

  products (): Promise<Product[]> {
    return this.#pool.query<Product>('SELECT sku, name, price_cents AS "priceCents", stock FROM products ORDER BY sku')
  }

  async place ({ customer, lines }: NewOrder): Promise<Order> {
    return await this.#pool.transaction(async (client) => {
      const taken = []
      for (const { sku, quantity } of inOneOrder(lines)) taken.push({ sku, quantity, priceCents: await this.#take(client, sku, quantity) })
      const { rows: [{ id, placedAt }] } = await client.query('INSERT INTO orders (customer) VALUES ($1) RETURNING id::float8 AS id, placed_at AS "placedAt"', [customer])
      for (const { sku, quantity, priceCents } of taken) {
        await client.query('INSERT INTO order_lines (order_id, sku, quantity, price_cents) VALUES ($1, $2, $3, $4)', [id, sku, quantity, priceCents])
      }
      return { id, customer, status: 'placed' as const, placedAt: placedAt.toISOString(), lines: taken }
    })
  }

  async find (id: number): Promise<Order | undefined> {
    const [row] = await this.#pool.query<OrderRow>(`${ORDER} WHERE o.id = $1 GROUP BY o.id`, [id])
    return row && orderOf(row)
  }

  async list ({ customer, before, limit }: Page): Promise<Order[]> {
    const rows = await this.#pool.query<OrderRow>(
      `${ORDER} WHERE ($1::text IS NULL OR o.customer = $1) AND ($2::bigint IS NULL OR o.id < $2) GROUP BY o.id ORDER BY o.id DESC LIMIT $3`,
      [customer ?? null, before ?? null, limit])
    return rows.map(orderOf)
  }

  async cancel (id: number): Promise<Order | undefined> {
    await this.#pool.transaction(async (client) => {
      const { rowCount } = await client.query("UPDATE orders SET status = 'cancelled' WHERE id = $1 AND status = 'placed'", [id])
      if (rowCount === 0) return
      const { rows } = await client.query('SELECT sku, quantity FROM order_lines WHERE order_id = $1 ORDER BY sku', [id])
      for (const { sku, quantity } of rows) await client.query('UPDATE products SET stock = stock + $1 WHERE sku = $2', [quantity, sku])
    })
    return await this.find(id)
  }

  check (): Promise<unknown> {
    return this.#pool.query('SELECT 1')
  }

  /** What one costs. */
  async #take (client: PostgresClient, sku: string, quantity: number): Promise<number> {
    const { rows: [product] } = await client.query('UPDATE products SET stock = stock - $1 WHERE sku = $2 AND stock >= $1 RETURNING price_cents AS "priceCents"', [quantity, sku])
    if (product !== undefined) return product.priceCents
    const { rowCount } = await client.query('SELECT FROM products WHERE sku = $1', [sku])
    throw rowCount === 0 ? new UnknownProductError(sku) : new OutOfStockError(sku)
  }
}

function orderOf (row: OrderRow): Order {
  return { ...row, placedAt: row.placedAt.toISOString() }
}
