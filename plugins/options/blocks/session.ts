/** Sessions that all workers share. It has no keys yet. */
export const session = {
  type: 'object',
  description: 'Sessions that all workers share.',
  additionalProperties: false,
  properties: {}
} as const
