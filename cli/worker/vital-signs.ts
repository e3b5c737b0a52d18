import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { Slot, slotDouble, slotWord } from '../../plugins/shared-memory/index.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import type { Connections } from './connections.ts'

const BEAT_EVERY_MS = 500

/** Writes into the worker's slot, twice a second, what the launcher and the other workers may know of it. */
export function showVitalSigns ({ region, slot, doorbell, guard }: SharedMemory, connections: Connections): () => void {
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  let last = performance.eventLoopUtilization()
  const double = (field: number, value: number) => { region.f64[slotDouble(slot.index, field)] = value }
  const word = (field: number, value: number) => Atomics.store(region.i32, slotWord(slot.index, field), value)

  const beat = () => {
    guard.abandon()
    const now = performance.eventLoopUtilization()
    double(Slot.LOOP_UTILIZATION, performance.eventLoopUtilization(now, last).utilization)
    last = now
    double(Slot.LOOP_DELAY_P99, delay.percentile(99) / 1e6)
    delay.reset()
    double(Slot.RSS, process.memoryUsage.rss())
    double(Slot.REQUESTS, connections.requests)
    word(Slot.IN_FLIGHT, connections.inFlight)
    word(Slot.CONNECTIONS, connections.open)
    Atomics.add(region.i32, slotWord(slot.index, Slot.HEARTBEAT), 1)
    // A ring whose sender died before its wake-up is heard here at the latest.
    if (Atomics.load(region.i32, slotWord(slot.index, Slot.BELL)) !== 0) doorbell.answer()
  }
  word(Slot.PID, process.pid)
  beat()
  const timer = setInterval(beat, BEAT_EVERY_MS)
  timer.unref()
  return () => {
    clearInterval(timer)
    delay.disable()
  }
}
