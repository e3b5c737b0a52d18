import createError from '@fastify/error'
import type { FastifyInstance } from 'fastify'
import type { SwooleOptions } from '../../../plugins/swoole.ts'

export interface Product {
  sku: string
  name: string
  priceCents: number
  stock: number
}

export interface OrderLine {
  sku: string
  quantity: number
  priceCents: number
}

export interface Order {
  id: number
  customer: string
  status: 'placed' | 'cancelled'
  placedAt: string
  lines: OrderLine[]
}

export interface NewOrder {
  customer: string
  lines: Array<{ sku: string, quantity: number }>
}

export interface Page {
  /** Of all when it is left out. */
  customer?: string
  /** Orders with a smaller id than this. */
  before?: number
  limit: number
}

/** What the application wants of a database. The newest order comes first in a list. */
export interface Store {
  products (): Promise<Product[]>
  /** All lines or nothing. Rejects with ORDER_PRODUCT_UNKNOWN and ORDER_OUT_OF_STOCK. */
  place (order: NewOrder): Promise<Order>
  find (id: number): Promise<Order | undefined>
  list (page: Page): Promise<Order[]>
  /** Puts what was ordered back, once however often it is called. */
  cancel (id: number): Promise<Order | undefined>
  /** Rejects when the database does not answer. */
  check (): Promise<unknown>
}

export interface Settings {
  /** Where the database is; by default at its standard port of 127.0.0.1. */
  url: string | undefined
  /** A schema of PostgreSQL, a database of MySQL, a prefix of all keys of Redis: lower-case letters, digits and _. */
  namespace: string
}

/** A kind of database. */
export interface StoreKind {
  /** What the pool needs. Rejects when the database cannot be reached. */
  database (settings: Settings): Promise<NonNullable<SwooleOptions['database']>>
  /** Makes tables and products unless they are there, whichever worker is first. */
  open (fastify: FastifyInstance, settings: Settings): Promise<Store>
}

export const UnknownProductError = createError('ORDER_PRODUCT_UNKNOWN', 'There is no product "%s"', 422)
export const OutOfStockError = createError('ORDER_OUT_OF_STOCK', 'There is not enough of "%s" left', 409)

/** One order for those who each ask for several products, so that no two wait for each other. */
export function inOneOrder<Line extends { sku: string }> (lines: Line[]): Line[] {
  return lines.toSorted((a, b) => a.sku < b.sku ? -1 : 1)
}
