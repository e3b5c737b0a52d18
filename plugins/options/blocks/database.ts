import { durationSchema } from '../duration.ts'
import { poolSizeSchema } from './pool.ts'
import { remotePortSchema } from './port.ts'

const size = { ...poolSizeSchema, description: 'Connections that one worker may have at a time.' } as const
const timeout = { ...durationSchema, minimum: 1, description: 'How long to wait for a free connection, or for a new one.' } as const
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

const lifetimes = {
  idleTimeout: { ...durationSchema, description: 'A connection that nobody used for so long is closed; 0 is at once.', default: '1m' },
  maxLifetime: { ...durationSchema, description: 'A connection so old is replaced; 0 is never.', default: '30m' },
  validateAfterIdle: { ...durationSchema, description: 'A connection that nobody used for so long is asked whether it still works before it is lent; 0 is each time.', default: '10s' },
  maxPerMachine: {
    type: ['integer', 'null'],
    minimum: 1,
    maximum: 100_000,
    description: 'Connections that all workers together may have, divided among those that live; null is no limit but poolSize of each.',
    default: null
  },
  tls: { type: 'boolean', description: 'Connect over TLS, and check the server\'s certificate. A CA, a key or a name of its own go into clientOptions.', default: false },
  clientOptions: { type: 'object', accepts: 'an object', description: 'Further options of the client library; what is named above goes before them.', default: {} }
} as const

const statements = {
  queryTimeout: { ...durationSchema, description: 'A statement of query, execute or of a transaction\'s frame that takes longer is cancelled on the server; 0 is never.', default: '1m' },
  slowQueryMs: { type: ['number', 'null'], minimum: 0, description: 'Statements that take so many milliseconds are logged, without their parameters; null logs none.', default: 1000 }
} as const

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
        database: name,
        ...lifetimes,
        ...statements
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
        database: name,
        ...lifetimes,
        ...statements,
        prepare: { type: 'boolean', description: 'Prepare statements that are used again. false where a proxy in between gives each statement to another connection.', default: true }
      }
    },
    redis: {
      type: 'object',
      description: 'Redis or Valkey, for the pool and for the engine "redis".',
      additionalProperties: false,
      properties: {
        poolSize: { ...size, minimum: 2, description: 'Connections that one worker may have at a time: one that all commands share, and those that get() lends.', default: 20 },
        timeout: { ...timeout, default: '3s' },
        url,
        host,
        port: { ...port, default: 6379 },
        user,
        password,
        database: { type: 'integer', minimum: 0, maximum: 65_535, description: 'Number of the database.', default: 0 },
        ...lifetimes,
        commandTimeout: { ...durationSchema, description: 'When nothing comes from the server for so long though it was asked, the shared connection is closed and opened again, and what was asked fails; 0 is never.', default: '10s' },
        cluster: {
          type: ['array', 'null'],
          minItems: 1,
          items: { type: 'string', minLength: 1, accepts: 'a "host:port"' },
          accepts: 'a list of "host:port"',
          description: 'Nodes of a Redis Cluster, of which it learns the others; null is no cluster.',
          default: null
        },
        sentinels: {
          type: ['array', 'null'],
          minItems: 1,
          items: { type: 'string', minLength: 1, accepts: 'a "host:port"' },
          accepts: 'a list of "host:port"',
          description: 'Sentinels that know the master; null is none.',
          default: null
        },
        sentinelName: { type: 'string', minLength: 1, description: 'What the sentinels call the master.', default: 'mymaster' }
      }
    }
  }
} as const
