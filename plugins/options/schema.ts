import { cache } from './blocks/cache.ts'
import { dashboard } from './blocks/dashboard.ts'
import { database } from './blocks/database.ts'
import { debug } from './blocks/debug.ts'
import { health } from './blocks/health.ts'
import { hotReload } from './blocks/hot-reload.ts'
import { http } from './blocks/http.ts'
import { http2 } from './blocks/http2.ts'
import { https } from './blocks/https.ts'
import { log } from './blocks/log.ts'
import { memory } from './blocks/memory.ts'
import { metrics } from './blocks/metrics.ts'
import { performance } from './blocks/performance.ts'
import { processPool } from './blocks/process-pool.ts'
import { rateLimiter } from './blocks/rate-limiter.ts'
import { scheduler } from './blocks/scheduler.ts'
import { session } from './blocks/session.ts'
import { task } from './blocks/task.ts'
import { threadPool } from './blocks/thread-pool.ts'
import { websocket } from './blocks/websocket.ts'
import type { Input, Resolved } from './from-schema.ts'

/** The JSON Schema of all options: one block per capability. A block that may be `false` is then left out. */
export const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    engine: {
      type: 'string',
      enum: ['memory', 'redis'],
      description: 'Where shared state lives: in the memory of this machine, or in Redis for several machines.',
      default: 'memory'
    },
    http,
    https,
    http2,
    hotReload,
    performance,
    memory,
    log,
    database: { anyOf: [database, { const: false }], default: {} },
    task: { anyOf: [task, { const: false }], default: {} },
    scheduler: { anyOf: [scheduler, { const: false }], default: {} },
    rateLimiter: { anyOf: [rateLimiter, { const: false }], default: {} },
    metrics: { anyOf: [metrics, { const: false }], default: {} },
    threadPool: { anyOf: [threadPool, { const: false }], default: {} },
    processPool: { anyOf: [processPool, { const: false }], default: {} },
    websocket: { anyOf: [websocket, { const: false }], default: {} },
    debug: { anyOf: [debug, { const: false }], default: {} },
    cache: { anyOf: [cache, { const: false }], default: {} },
    session: { anyOf: [session, { const: false }], default: false },
    dashboard: { anyOf: [dashboard, { const: false }], default: false },
    health: { anyOf: [health, { const: false }], default: false }
  }
} as const

/** The options as a user gives them: every key may be left out. */
export type SwooleOptions = Input<typeof schema>

/** The options as the code reads them: defaults filled in, durations in milliseconds, sizes in bytes. */
export type ResolvedOptions = Resolved<typeof schema>
