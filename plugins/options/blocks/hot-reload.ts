import { durationSchema } from '../duration.ts'

/** Reload when a file of the application changes: for development, with the command `watch`. */
export const hotReload = {
  type: 'object',
  description: 'Reload when a file of the application changes: for development, with the command `watch`.',
  additionalProperties: false,
  properties: {
    enabled: {
      type: 'boolean',
      description: 'Reload on a change; false makes `watch` the same as `start`.',
      default: true
    },
    watch: {
      type: 'array',
      items: { type: 'string', minLength: 1 },
      description: 'Folders and files to watch, relative to the project. A list of your own replaces this one.',
      default: ['src', 'config', 'templates']
    },
    interval: {
      ...durationSchema,
      minimum: 1,
      description: 'How often the files are looked at when polling.',
      default: 500
    },
    polling: {
      type: 'boolean',
      description: 'Look at the files again and again instead of asking the system for changes: for network file systems and some containers.',
      default: false
    }
  }
} as const
