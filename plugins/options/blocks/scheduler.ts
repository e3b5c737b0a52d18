/** Jobs that run at an interval or at times of the day. */
export const scheduler = {
  type: 'object',
  description: 'Jobs that run at an interval or at times of the day.',
  additionalProperties: false,
  properties: {
    enabled: {
      type: 'boolean',
      description: 'Run the jobs; false keeps them listed and runs none.',
      default: true
    },
    maxJobs: {
      type: 'integer',
      minimum: 1,
      maximum: 10_000,
      description: 'Jobs that the application may have at once, 512 bytes of shared memory each.',
      default: 1000
    }
  }
} as const
