import { join } from 'node:path'
import { startWorker as startWorkerOf } from '../measure/workers.ts'
import type { Worker as WorkerOf } from '../measure/workers.ts'
import type { Jobs } from './worker.ts'

export type Worker = WorkerOf<Jobs>

export const startWorker = (): Worker => startWorkerOf<Jobs>(join(import.meta.dirname, 'worker.ts'))
