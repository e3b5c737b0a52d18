import { join } from 'node:path'
import type { LauncherMemory } from '../../plugins/shared-memory/index.ts'
import { startAttached as startAttachedOf, startWorker as startWorkerOf } from '../measure/workers.ts'
import type { Worker as WorkerOf } from '../measure/workers.ts'
import type { Jobs } from './worker.ts'

export type Worker = WorkerOf<Jobs>

const FILE = join(import.meta.dirname, 'worker.ts')

export const startWorker = (): Worker => startWorkerOf<Jobs>(FILE)

/** A worker that has attached to the region, as the launcher's do; `id` is its number. */
export const startAttached = (launcher: LauncherMemory, bells: string, id: number): Promise<Worker> => startAttachedOf<Jobs>(FILE, launcher, bells, id)
