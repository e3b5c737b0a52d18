import { Slot, slotDouble, slotWord } from '../../plugins/shared-memory/index.ts'
import type { LauncherMemory } from '../../plugins/shared-memory/index.ts'
import type { Fleet } from './fleet.ts'

const LOOK_EVERY_MS = 500

/**
 * Looks at what the workers tell of themselves, and replaces one whose resident memory is over `performance.maxMemory`
 * or whose event loop made no turn for `performance.stuckTimeout`. Returns how to end that.
 */
export function watchWorkers (fleet: Fleet, { memory: { region } }: LauncherMemory): () => void {
  const { maxMemory, stuckTimeout } = fleet.settings.options.performance
  const recycling = new Set<object>()

  const look = () => {
    for (const worker of fleet.workers) {
      if (worker.state !== 'ready' || recycling.has(worker)) continue
      const reason = tooLarge(worker.slot.index) ?? stuck(worker)
      if (reason === undefined) continue
      recycling.add(worker)
      fleet.recycle(worker, reason).finally(() => recycling.delete(worker))
    }
  }

  const tooLarge = (slotIndex: number) => {
    const rss = region.f64[slotDouble(slotIndex, Slot.RSS)]!
    return maxMemory !== null && rss > maxMemory ? `it uses ${rss} bytes of memory, more than performance.maxMemory (${maxMemory})` : undefined
  }

  const stuck = (worker: { slot: { index: number }, heartbeat: { count: number, at: number } }) => {
    const count = Atomics.load(region.i32, slotWord(worker.slot.index, Slot.HEARTBEAT))
    if (count !== worker.heartbeat.count) worker.heartbeat = { count, at: performance.now() }
    const silentMs = performance.now() - worker.heartbeat.at
    return stuckTimeout > 0 && silentMs > stuckTimeout ? `its event loop made no turn for ${Math.round(silentMs)} ms (performance.stuckTimeout)` : undefined
  }

  const timer = setInterval(look, LOOK_EVERY_MS)
  return () => clearInterval(timer)
}
