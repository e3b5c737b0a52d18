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
      description: 'Task workers to start. They load the application; the tasks themselves come later.',
      default: 2
    },
    maxRequest: {
      type: 'integer',
      minimum: 0,
      maximum: 2_147_483_647,
      description: 'Tasks after which a task worker is replaced; 0 is never.',
      default: 10_000
    }
  }
} as const
