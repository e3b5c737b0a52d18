import { bytesSchema } from '../bytes.ts'

/** Task workers: processes beside the HTTP workers, for work outside requests. */
export const task = {
  type: 'object',
  description: 'Task workers: processes beside the HTTP workers, for work outside requests.',
  additionalProperties: false,
  properties: {
    workerNum: {
      type: 'integer',
      minimum: 0,
      maximum: 256,
      description: 'Task workers to start; with 0 each HTTP worker runs tasks.',
      default: 2
    },
    maxRequest: {
      type: 'integer',
      minimum: 0,
      maximum: 2_147_483_647,
      description: 'Tasks after which a task worker is replaced; 0 is never.',
      default: 10_000
    },
    maxQueued: {
      type: 'integer',
      minimum: 1,
      maximum: 1_048_576,
      description: 'Tasks of a type that may wait at once.',
      default: 100_000
    },
    maxPayload: {
      ...bytesSchema,
      minimum: 1,
      maximum: 1_073_741_824,
      description: 'Bytes that the data of a task may have.',
      default: '16mb'
    }
  }
} as const
