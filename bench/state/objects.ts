/* What is kept: an object as an application caches it, whose JSON has so many bytes. */
import { text } from '../memory/rows.ts'

export interface Product {
  id: number
  name: string
  price: number
  isAvailable: boolean
  tags: string[]
  dimensions: { width: number, height: number, depth: number }
  description: string
}

const KILOBYTE = 1024

export function product (n: number, bytes = KILOBYTE): Product {
  const product = {
    id: n,
    name: `Product ${n}`,
    price: n + 0.95,
    isAvailable: n % 3 !== 0,
    tags: ['garden', 'wood', 'outdoor', 'chair'],
    dimensions: { width: 60 + n % 50, height: 110, depth: 58 },
    description: ''
  }
  return { ...product, description: text(n, bytes - JSON.stringify(product).length) }
}

/** JSON as it comes from a socket: whole, and one byte a character. */
export const json = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('latin1')
