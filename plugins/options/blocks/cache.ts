/** A cache that all workers share. It has no keys yet. */
export const cache = {
  type: 'object',
  description: 'A cache that all workers share.',
  additionalProperties: false,
  properties: {}
} as const
