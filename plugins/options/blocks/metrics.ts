import { durationSchema } from '../duration.ts'

/** Figures about the whole application. */
export const metrics = {
  type: 'object',
  description: 'Figures about the whole application.',
  additionalProperties: false,
  properties: {
    enabled: {
      type: 'boolean',
      description: 'Collect.',
      default: true
    },
    exportInterval: {
      ...durationSchema,
      minimum: 1,
      description: 'How often the figures are exported.',
      default: '60s'
    }
  }
} as const
