import { durationSchema } from '../duration.ts'

/** How many requests one client may make. */
export const rateLimiter = {
  type: 'object',
  description: 'How many requests one client may make.',
  additionalProperties: false,
  properties: {
    enabled: {
      type: 'boolean',
      description: 'Limit; false allows everything.',
      default: true
    },
    maxRequests: {
      type: 'integer',
      minimum: 1,
      maximum: 2_147_483_647,
      description: 'Requests that one client may make in a window.',
      default: 100
    },
    window: {
      ...durationSchema,
      minimum: 1,
      description: 'Length of the window.',
      default: '60s'
    },
    global: {
      type: 'boolean',
      description: 'Limit every route that does not say "config.rateLimiter: false".',
      default: false
    },
    maxKeys: {
      type: ['integer', 'null'],
      minimum: 1,
      maximum: 10_000_000,
      description: 'Clients that are remembered at once, about 48 bytes each; null is 100,000, or as many as an eighth of memory.size has room for. The least recently seen go for others.',
      default: null
    },
    headers: {
      type: 'string',
      enum: ['all', 'draft', 'legacy', 'none'],
      description: 'Fields of the answers that tell clients how they stand: those of the IETF draft (RateLimit), the older X-RateLimit ones, both, or none. A 429 has Retry-After with each.',
      default: 'all'
    }
  }
} as const
