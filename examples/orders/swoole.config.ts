import type { SwooleOptions } from '../../plugins/swoole.ts'

/* What the launcher reads; the pool is in server.ts, for it is another with each database. */
export default {
  health: {},
  task: { workerNum: 0 }
} satisfies SwooleOptions
