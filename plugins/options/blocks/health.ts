const path = { type: 'string', pattern: '^/', accepts: 'a path that begins with "/"' } as const

/** Routes for whoever watches over the application. */
export const health = {
  type: 'object',
  description: 'Routes for whoever watches over the application.',
  additionalProperties: false,
  properties: {
    live: {
      ...path,
      description: 'Path that answers 200 while the worker is alive.',
      default: '/livez'
    },
    ready: {
      ...path,
      description: 'Path that answers 200 while the worker takes requests, and 503 while it drains.',
      default: '/readyz'
    }
  }
} as const
