import { readSlots } from '../shared-memory/index.ts'
import type { Region } from '../shared-memory/index.ts'

const MOST_NAMED = 5

/** Says which worker has a tag: `worker 3 (process 1234)`. */
export function workerNames (region: Region): (tag: number) => string {
  const slots = new Map(readSlots(region).map((slot) => [slot.tag, slot]))
  return (tag) => {
    const slot = slots.get(tag)
    return slot === undefined ? 'a worker that has ended' : `worker ${slot.id} (process ${slot.pid})`
  }
}

/** The workers of these tags in words, each once. */
export function nameWorkers (region: Region, tags: number[]): string {
  const names = [...new Set(tags)].map(workerNames(region))
  if (names.length <= MOST_NAMED) return names.join(', ')
  return `${names.slice(0, MOST_NAMED).join(', ')} and ${names.length - MOST_NAMED} more`
}
