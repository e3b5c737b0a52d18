import { poolSizeSchema } from './pool.ts'

/** Threads for work that would block the event loop. */
export const threadPool = {
  type: 'object',
  description: 'Threads for work that would block the event loop.',
  additionalProperties: false,
  properties: {
    enabled: {
      type: 'boolean',
      description: 'Start the pool with the worker.',
      default: false
    },
    size: {
      ...poolSizeSchema,
      description: 'Threads of one worker.',
      default: 4
    }
  }
} as const
