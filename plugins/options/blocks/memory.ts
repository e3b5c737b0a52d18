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
      // Node aborts when it writes a string to a buffer that has more bytes than that before its end.
      maximum: 4_294_967_296,
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
