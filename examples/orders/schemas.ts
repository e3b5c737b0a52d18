/* What the routes take and give. */

const MOST_LINES = 20
const LARGEST_ID = Number.MAX_SAFE_INTEGER

const id = { type: 'integer', minimum: 1, maximum: LARGEST_ID } as const
const sku = { type: 'string', pattern: '^[a-z0-9-]{1,40}$' } as const
// No line breaks and the like, of which PostgreSQL does not take the first.
const customer = { type: 'string', minLength: 1, maxLength: 100, pattern: '^\\P{Cc}+$' } as const

export const orderParams = { type: 'object', properties: { id } } as const

export const newOrder = {
  type: 'object',
  required: ['customer', 'lines'],
  additionalProperties: false,
  properties: {
    customer,
    lines: {
      type: 'array',
      minItems: 1,
      maxItems: MOST_LINES,
      items: {
        type: 'object',
        required: ['sku', 'quantity'],
        additionalProperties: false,
        properties: { sku, quantity: { type: 'integer', minimum: 1, maximum: 1000 } }
      }
    }
  }
} as const

export const page = {
  type: 'object',
  additionalProperties: false,
  properties: { customer, before: id, limit: { type: 'integer', minimum: 1, maximum: 100, default: 20 } }
} as const

export const order = {
  type: 'object',
  properties: {
    id: { type: 'integer' },
    customer: { type: 'string' },
    status: { type: 'string' },
    placedAt: { type: 'string' },
    lines: { type: 'array', items: { type: 'object', properties: { sku: { type: 'string' }, quantity: { type: 'integer' }, priceCents: { type: 'integer' } } } }
  }
} as const

export const orders = { type: 'array', items: order } as const

export const products = {
  type: 'array',
  items: { type: 'object', properties: { sku: { type: 'string' }, name: { type: 'string' }, priceCents: { type: 'integer' }, stock: { type: 'integer' } } }
} as const

export const health = {
  type: 'object',
  properties: { database: { type: 'string' }, pools: { type: 'array', items: { type: 'object', additionalProperties: true } } }
} as const
