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
    }
  }
} as const
