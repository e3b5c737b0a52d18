import { poolSizeSchema } from './pool.ts'

/** Processes of the application's own. */
export const processPool = {
  type: 'object',
  description: 'Processes of the application\'s own.',
  additionalProperties: false,
  properties: {
    enabled: {
      type: 'boolean',
      description: 'Make the pool available.',
      default: false
    },
    size: {
      ...poolSizeSchema,
      description: 'Processes in the pool.',
      default: 4
    }
  }
} as const
