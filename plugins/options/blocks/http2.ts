import { bytesSchema } from '../bytes.ts'

/** The settings that the server sends to an HTTP/2 client; the ranges are those of RFC 9113, section 6.5.2. */
export const http2 = {
  type: 'object',
  description: 'The settings that the server sends to an HTTP/2 client (RFC 9113, section 6.5.2).',
  additionalProperties: false,
  properties: {
    headerTableSize: {
      ...bytesSchema,
      minimum: 0,
      maximum: 4_294_967_295,
      description: 'Largest table, in bytes, for compressing headers.',
      default: 4096
    },
    initialWindowSize: {
      ...bytesSchema,
      minimum: 0,
      maximum: 2_147_483_647,
      description: 'Bytes that a client may send on a stream before it must wait for a window update.',
      default: 65_535
    },
    maxConcurrentStreams: {
      type: 'integer',
      minimum: 0,
      maximum: 4_294_967_295,
      description: 'Streams that a client may have open at a time on one connection.',
      default: 128
    },
    maxFrameSize: {
      ...bytesSchema,
      minimum: 16_384,
      maximum: 16_777_215,
      description: 'Largest payload of a frame, in bytes.',
      default: 16_384
    },
    maxHeaderListSize: {
      ...bytesSchema,
      minimum: 0,
      maximum: 4_294_967_295,
      description: 'Largest header list of a request, uncompressed, in bytes.',
      default: 4096
    }
  }
} as const
