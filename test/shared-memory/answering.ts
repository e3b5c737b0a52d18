import { flushCompileCache } from 'node:module'

/** A process that is killed has not written what it compiled. */
const FLUSH_AFTER_MS = 300

/** Does the jobs that the parent of this worker process asks for (see `Peers`), and ends with it. */
export function answerParent (jobs: object): void {
  if (process.send === undefined) return
  process.on('disconnect', () => process.exit())
  setTimeout(flushCompileCache, FLUSH_AFTER_MS).unref()
  process.on('message', async ({ id, job, given }: { id: number, job: string, given: unknown[] }) => {
    try {
      process.send!({ id, result: await (jobs as Record<string, (...given: unknown[]) => unknown>)[job]!(...given) })
    } catch (error) {
      process.send!({ id, error: `${(error as { code?: string }).code ?? ''} ${(error as Error).message}` })
    }
  })
}
