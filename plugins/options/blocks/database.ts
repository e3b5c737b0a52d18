import { durationSchema } from '../duration.ts'
import { poolSizeSchema } from './pool.ts'
import { remotePortSchema } from './port.ts'

const size = { ...poolSizeSchema, description: 'Connections that one worker may have at a time.' } as const
const timeout = { ...durationSchema, minimum: 1, description: 'How long to wait for a free connection.' } as const
const host = { type: 'string', minLength: 1, description: 'Host of the server.', default: '127.0.0.1' } as const
const port = { ...remotePortSchema, description: 'Port of the server.' } as const
const url = {
  type: ['string', 'null'],
  minLength: 1,
  description: 'The connection as a URL; what it names goes before host, port, user, password and database.',
  default: null
} as const
const user = { type: ['string', 'null'], description: 'User to connect as; null is the driver\'s default.', default: null } as const
const password = { type: ['string', 'null'], description: 'Password of the user; null is none.', default: null } as const
const name = { type: ['string', 'null'], description: 'Database to use; null is the server\'s default.', default: null } as const

/** Connection pools, one of each kind per worker. */
export const database = {
  type: 'object',
  description: 'Connection pools, one of each kind per worker.',
  additionalProperties: false,
  properties: {
    enablePool: {
      type: 'boolean',
      description: 'Keep connections for the next request; false opens one for each use.',
      default: true
    },
    mysql: {
      type: 'object',
      description: 'MySQL or MariaDB.',
      additionalProperties: false,
      properties: {
        poolSize: { ...size, default: 10 },
        timeout: { ...timeout, default: '5s' },
        url,
        host,
        port: { ...port, default: 3306 },
        user,
        password,
        database: name
      }
    },
    postgresql: {
      type: 'object',
      description: 'PostgreSQL.',
      additionalProperties: false,
      properties: {
        poolSize: { ...size, default: 10 },
        timeout: { ...timeout, default: '5s' },
        url,
        host,
        port: { ...port, default: 5432 },
        user,
        password,
        database: name
      }
    },
    redis: {
      type: 'object',
      description: 'Redis, for the pool and for the engine "redis".',
      additionalProperties: false,
      properties: {
        poolSize: { ...size, default: 20 },
        timeout: { ...timeout, default: '3s' },
        url,
        host,
        port: { ...port, default: 6379 },
        user,
        password,
        database: { type: 'integer', minimum: 0, maximum: 65_535, description: 'Number of the database.', default: 0 }
      }
    }
  }
} as const
