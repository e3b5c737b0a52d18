import { portSchema } from './port.ts'

/** Where the application listens, and what its port speaks. */
export const http = {
  type: 'object',
  description: 'Where the application listens, and what its port speaks.',
  additionalProperties: false,
  properties: {
    host: {
      type: 'string',
      minLength: 1,
      description: 'Address to listen on.',
      default: '0.0.0.0'
    },
    port: {
      ...portSchema,
      description: 'Port to listen on; 0 takes a free one.',
      default: 9501
    },
    options: {
      type: 'object',
      description: 'What the port speaks and serves besides HTTP/1.1.',
      additionalProperties: false,
      properties: {
        openHttp2Protocol: {
          type: 'boolean',
          description: 'Speak HTTP/2 on the port as well: h2c, or over TLS by ALPN when https is enabled.',
          default: false
        },
        openWebsocketProtocol: {
          type: 'boolean',
          description: 'Accept WebSocket upgrades on the port.',
          default: false
        },
        enableStaticHandler: {
          type: 'boolean',
          description: 'Serve the files under documentRoot.',
          default: false
        },
        documentRoot: {
          type: ['string', 'null'],
          minLength: 1,
          description: 'Folder of the static files, relative to the project; null is its folder "public". Used with enableStaticHandler only.',
          default: null
        },
        staticHandlerLocations: {
          type: 'array',
          items: { type: 'string', pattern: '^/', accepts: 'a path that begins with "/"' },
          description: 'Prefixes of the URL paths that are looked up as files.',
          default: ['/assets', '/bundles']
        }
      }
    }
  }
} as const
