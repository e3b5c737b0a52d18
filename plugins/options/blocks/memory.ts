import { bytesSchema } from '../bytes.ts'

/** The memory that the workers share. */
export const memory = {
  type: 'object',
  description: 'The memory that the workers share.',
  additionalProperties: false,
  properties: {
    size: {
      ...bytesSchema,
      minimum: 1_048_576,
      maximum: 8_589_934_592,
      description: 'Bytes of shared memory: all there will be. The system gives it as it is used; a file has it at once.',
      default: '64mb'
    },
    file: {
      type: ['string', 'null'],
      minLength: 1,
      description: 'File, relative to the project, that keeps the shared memory over a stop of the launcher; null keeps it in memory only.',
      default: null
    }
  }
} as const
