/** A page that shows the application at work. It has no keys yet. */
export const dashboard = {
  type: 'object',
  description: 'A page that shows the application at work.',
  additionalProperties: false,
  properties: {}
} as const
