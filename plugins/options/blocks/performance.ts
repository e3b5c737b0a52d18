import { bytesOrNullSchema, bytesSchema } from '../bytes.ts'
import { durationSchema } from '../duration.ts'

const LARGEST_BUFFER = 4_294_967_296
const LARGEST_COUNT = 2_147_483_647

/** The workers: how many, what each may take, and when one is replaced. */
export const performance = {
  type: 'object',
  description: 'The workers: how many, what each may take, and when one is replaced.',
  additionalProperties: false,
  properties: {
    workerNum: {
      type: ['integer', 'null'],
      minimum: 1,
      maximum: 256,
      description: 'HTTP workers; null is one per core.',
      default: null
    },
    maxRequest: {
      type: 'integer',
      minimum: 0,
      maximum: LARGEST_COUNT,
      description: 'Requests after which a worker is replaced, with some jitter so that they do not all go at once; 0 is never.',
      default: 0
    },
    enableCoroutine: {
      type: 'boolean',
      description: 'Give each request a coroutine of its own, with its id and its deferred calls.',
      default: true
    },
    maxCoroutine: {
      type: 'integer',
      minimum: 1,
      maximum: LARGEST_COUNT,
      description: 'Coroutines that one worker may have at a time.',
      default: 100_000
    },
    coroutineHookFlags: {
      type: ['integer', 'null'],
      minimum: 0,
      maximum: LARGEST_COUNT,
      description: 'The calls of Node that a coroutine follows, as the original\'s bit mask; null is all.',
      default: null
    },
    maxConnection: {
      type: 'integer',
      minimum: 1,
      maximum: 1_000_000,
      description: 'Connections that the application may have at a time, in equal parts for its workers; further ones are closed.',
      default: 10_000
    },
    bufferOutputSize: {
      ...bytesSchema,
      minimum: 1,
      maximum: LARGEST_BUFFER,
      description: 'Largest response, in bytes, that is held in memory.',
      default: 33_554_432
    },
    socketBufferSize: {
      ...bytesSchema,
      minimum: 1,
      maximum: LARGEST_BUFFER,
      description: 'Bytes that may wait for one slow client.',
      default: 134_217_728
    },
    packageMaxLength: {
      ...bytesSchema,
      minimum: 1,
      maximum: LARGEST_BUFFER,
      description: 'Largest request body, in bytes; a larger one is answered with 413.',
      default: 10_485_760
    },
    enableCompression: {
      type: 'boolean',
      description: 'Compress responses for clients that ask for it.',
      default: true
    },
    compressionLevel: {
      type: 'integer',
      minimum: 1,
      maximum: 9,
      description: 'Effort of the compression: 1 is fast, 9 is small.',
      default: 3
    },
    compressionMinLength: {
      ...bytesSchema,
      minimum: 0,
      maximum: LARGEST_BUFFER,
      description: 'Smallest response, in bytes, that is compressed.',
      default: 20
    },
    websocketCompression: {
      type: 'boolean',
      description: 'Let clients negotiate compression of WebSocket messages (RFC 7692).',
      default: true
    },
    daemonize: {
      type: 'boolean',
      description: 'Run in the background: `start` returns when the application is ready.',
      default: false
    },
    heartbeatInterval: {
      ...durationSchema,
      minimum: 1,
      description: 'How often idle connections are looked for.',
      default: '30s'
    },
    heartbeatIdleTime: {
      ...durationSchema,
      description: 'A connection without traffic for so long is closed; 0 is never.',
      default: '60s'
    },
    enableReusePort: {
      type: 'boolean',
      description: 'Each worker listens itself and the kernel shares out the connections (Linux); false lets the launcher share them out in turn.',
      default: false
    },
    threadMode: {
      type: 'boolean',
      description: 'Run the workers as threads of one process.',
      default: false
    },
    baseMode: {
      type: 'boolean',
      description: 'Each worker serves for itself, without a launcher that shares out connections (Swoole\'s base mode).',
      default: false
    },
    maxMemory: {
      ...bytesOrNullSchema,
      minimum: 1_048_576,
      description: 'A worker whose resident memory is over this many bytes is replaced; null is no limit.',
      default: null
    },
    stuckTimeout: {
      ...durationSchema,
      description: 'A worker whose event loop made no turn for so long is replaced; 0 is never.',
      default: '30s'
    },
    startTimeout: {
      ...durationSchema,
      minimum: 1,
      description: 'A new worker must be ready within this time.',
      default: '60s'
    },
    drainTimeout: {
      ...durationSchema,
      description: 'A draining worker may take so long to finish what it has; then it is ended.',
      default: '30s'
    },
    drainIdleTimeout: {
      ...durationSchema,
      description: 'An idle keep-alive connection of a draining worker is closed after this time.',
      default: '5s'
    },
    readinessDelay: {
      ...durationSchema,
      description: 'How long readiness says 503 before a stop stops accepting, so that a load balancer can turn away.',
      default: 0
    },
    crashLimit: {
      type: 'integer',
      minimum: 1,
      maximum: 1000,
      description: 'So many workers in a row that die before they are ready stop the launcher.',
      default: 10
    },
    cacheFolder: {
      type: ['string', 'null'],
      minLength: 1,
      description: 'The application\'s cache folder, relative to the project, which a reload clears; null is none.',
      default: 'var/cache'
    },
    front: {
      type: 'string',
      enum: ['fast', 'node'],
      description: 'Who reads HTTP/1.1: "node" is node:http, "fast" is fastify-swoole/front with node:http behind it.',
      default: 'node'
    }
  }
} as const
