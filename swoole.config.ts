import { randomBytes } from 'node:crypto'
import type { SwooleOptions } from './plugins/swoole.ts'

/* Options of the demo. The launcher reads them once for all workers; without one, server.ts does. */
export default {
  health: {},
  // With a secret of one's own, sessions outlive a new start.
  session: { secret: process.env.SESSION_SECRET ?? randomBytes(32).toString('base64url') }
} satisfies SwooleOptions
