import { ReloadFailedError, StoppingError } from '../../plugins/errors.ts'
import type { Fleet, Position } from './fleet.ts'

export interface ReloadResult {
  generation: number
  durationMs: number
}

export interface Reload {
  /** All new workers are in and the old ones are leaving. Rejects with FST_SWOOLE_RELOAD_FAILED: the old ones serve on. */
  swapped: Promise<ReloadResult>
  /** The old ones have left: whatever is answered from now on, new code answers. */
  finished: Promise<ReloadResult>
}

/**
 * Brings in new code: one new worker after another starts beside the old ones, which serve on. When all are ready they
 * take over together and the old ones leave. If one does not come, none takes over: not one request meets new code of a
 * reload that failed. See docs/decisions/0003-reload-beside.md.
 */
export function rollingReload (fleet: Fleet, roles: Array<'http' | 'task'>, clearCache: boolean, progress: (line: string) => void): Reload {
  const startedAt = performance.now()
  const result = () => ({ generation: fleet.generation, durationMs: Math.round(performance.now() - startedAt) })
  const leaving: Array<Promise<unknown>> = []

  const swapped = fleet.inTurn(async () => {
    const positions = fleet.positions.filter(({ role }) => roles.includes(role))
    // Only a reload of all is a new generation of the application, whose caches all of its workers share.
    const isAll = positions.length === fleet.positions.length
    const generation = isAll ? fleet.generation + 1 : fleet.generation
    const cacheReloads = isAll && clearCache ? fleet.nextCacheReloads() : fleet.cacheReloads
    try {
      for (const [n, position] of positions.entries()) {
        progress(`reloading ${n + 1}/${positions.length}`)
        if (fleet.isStopping) throw new StoppingError()
        position.next = fleet.start(position, generation, cacheReloads)
        await position.next.ready
        requireAll(positions)
      }
    } catch (error) {
      if (fleet.isStopping) throw new StoppingError()
      for (const position of positions) fleet.giveUp(position)
      throw new ReloadFailedError((error as Error).message)
    }
    fleet.generation = generation
    fleet.cacheReloads = cacheReloads
    for (const position of positions) {
      if (position.current !== undefined) leaving.push(position.current.gone)
      fleet.replace(position)
    }
    return result()
  })
  const finished = swapped.then(async () => {
    await Promise.all(leaving)
    return result()
  })
  finished.catch(() => {})
  return { swapped, finished }
}

function requireAll (positions: Position[]): void {
  const dead = positions.find(({ next }) => next?.state === 'dead')
  if (dead !== undefined) throw new Error(`worker ${dead.workerId} died just after it was ready`)
}
