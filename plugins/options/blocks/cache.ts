import { bytesOrNullSchema } from '../bytes.ts'
import { durationSchema } from '../duration.ts'

/** A cache that all workers share. */
export const cache = {
  type: 'object',
  description: 'A cache that all workers share.',
  additionalProperties: false,
  properties: {
    size: {
      ...bytesOrNullSchema,
      minimum: 262_144,
      maximum: 4_294_967_296,
      description: 'Bytes of the shared memory that all entries together take, from the first one on; null is a quarter of memory.size. The least wanted go for others.',
      default: null
    },
    ttl: {
      ...durationSchema,
      minimum: 1,
      description: 'How long a value is fresh that does not say.',
      default: '1h'
    },
    computeTimeout: {
      ...durationSchema,
      minimum: 1,
      description: 'How long a worker waits for a value that another one computes, before it computes that itself.',
      default: '30s'
    },
    clearOnReload: {
      type: 'boolean',
      description: 'A reload clears values, and not only HTTP answers.',
      default: false
    }
  }
} as const
