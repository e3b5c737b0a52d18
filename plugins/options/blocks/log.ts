/** Where output goes. */
export const log = {
  type: 'object',
  description: 'Where output goes.',
  additionalProperties: false,
  properties: {
    file: {
      type: ['string', 'null'],
      minLength: 1,
      description: 'File, relative to the project, for the output of all processes; null is the terminal, or "swoole.log" in the project when daemonized.',
      default: null
    }
  }
} as const
