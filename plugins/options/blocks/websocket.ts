import { bytesSchema } from '../bytes.ts'

/** WebSocket connections and rooms. */
export const websocket = {
  type: 'object',
  description: 'WebSocket connections and rooms.',
  additionalProperties: false,
  properties: {
    enabled: {
      type: 'boolean',
      description: 'Serve WebSocket routes.',
      default: false
    },
    maxFrameSize: {
      ...bytesSchema,
      minimum: 1,
      maximum: 2_147_483_647,
      description: 'Largest message, in bytes; a larger one closes the connection with 1009.',
      default: 65_535
    },
    compression: {
      type: 'boolean',
      description: 'Compress messages for clients that ask for it.',
      default: true
    }
  }
} as const
