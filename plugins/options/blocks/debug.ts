/** Dumps for development. */
export const debug = {
  type: 'object',
  description: 'Dumps for development.',
  additionalProperties: false,
  properties: {
    enabled: {
      type: 'boolean',
      description: 'Log at level debug and make the dumps available.',
      default: false
    },
    enableDd: {
      type: 'boolean',
      description: 'Let `reply.dd()` end a request with a dump page.',
      default: true
    },
    enableVarDump: {
      type: 'boolean',
      description: 'Let `request.dump()` collect values.',
      default: true
    }
  }
} as const
