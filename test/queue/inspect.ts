import { QueueWord, RECORDS_PER_PAGE, RECORD_WORDS, RecordWord, SECOND_COUNT, State, isInFlight, pagesOf, payloadBytes } from '../../plugins/items/layout.ts'
import type { Definition } from '../../plugins/queue/definition.ts'
import { REF_BYTES } from '../../plugins/shared-memory/index.ts'
import type { SharedMemory } from '../../plugins/shared-memory/index.ts'
import { faultOf } from '../shared-memory/world.ts'

/** Where the record `n` of a queue begins, as a word of the region. */
export function recordWord (memory: SharedMemory, name: string, n: number, queue = queueWord(memory, name)): number {
  const page = memory.region.i32[queue + QueueWord.PAGES + Math.floor(n / RECORDS_PER_PAGE) * 2]!
  return page * REF_BYTES / 4 + n % RECORDS_PER_PAGE * RECORD_WORDS
}

/**
 * What is wrong with a queue that nobody is changing: its lists, heaps and counts have to be those that follow from its
 * records, and every block in the memory has to be referred to. Undefined: nothing. The memory cannot be used afterwards.
 */
export function queueFaultOf (memory: SharedMemory, name: string): string | undefined {
  return indexFaultOf(memory, name) ?? faultOf(memory, blocksOf(memory, name))
}

export function indexFaultOf (memory: SharedMemory, name: string): string | undefined {
  const { i32, f64 } = memory.region
  const queue = queueWord(memory, name)
  const count = (word: number) => i32[queue + word]!
  const total = (word: number) => f64[(queue + word) / 2]!
  const at = (n: number) => recordWord(memory, name, n, queue)
  const sequence = (n: number) => f64[(at(n) + RecordWord.SEQUENCE) / 2]!

  const numbers = Array.from({ length: count(QueueWord.MADE) }, (_, n) => n + 1)
  const state = (n: number) => i32[at(n)]! & ~SECOND_COUNT
  const inState = (wanted: number) => numbers.filter((n) => state(n) === wanted)
  const items = numbers.filter((n) => state(n) !== State.FREE)
  const chain = (first: number) => {
    const met: number[] = []
    for (let n = first; n !== 0 && met.length <= numbers.length; n = i32[at(n) + RecordWord.NEXT]!) met.push(n)
    return met
  }
  const heap = (sizeWord: number, slot: number) => Array.from({ length: count(sizeWord) }, (_, p) => i32[at(p + 1) + slot]!)

  const list = chain(count(QueueWord.READY_FIRST))
  const returned = heap(QueueWord.RETURNED_SIZE, RecordWord.RETURNED_AT)
  const timed = heap(QueueWord.TIMED_SIZE, RecordWord.TIMED_AT)
  const isHeap = (heap: number[], key: (n: number) => number) => heap.every((n, p) => i32[at(n) + RecordWord.PLACE] === p + 1 && (p === 0 || key(heap[(p - 1) >> 1]!) <= key(n)))
  const due = (n: number) => f64[(at(n) + RecordWord.AT) / 2]!
  const same = (one: number[], other: number[]) => one.length === other.length && new Set([...one, ...other]).size === one.length

  const checks: Array<[string, boolean]> = [
    ['the guard is left', count(QueueWord.GUARD) === 0],
    ['the ready list and the returned heap have what is ready', same([...list, ...returned], inState(State.READY))],
    ['the ready list is in order', list.every((n, p) => p === 0 || sequence(list[p - 1]!) < sequence(n))],
    ['the ready list ends at its last', (list.at(-1) ?? 0) === count(QueueWord.READY_LAST)],
    ['what was returned is older than the ready list', returned.every((n) => list.length === 0 || sequence(n) < sequence(list[0]!))],
    ['the returned heap is one', isHeap(returned, sequence)],
    ['the timed heap has what has a time', same(timed, numbers.filter((n) => state(n) === State.DELAYED || (isInFlight(state(n)) && due(n) !== 0)))],
    ['the timed heap is one', isHeap(timed, due)],
    ['the free list has what is free', same(chain(count(QueueWord.FREE_FIRST)), inState(State.FREE))],
    ['READY is right', count(QueueWord.READY) === inState(State.READY).length],
    ['DELAYED is right', count(QueueWord.DELAYED) === inState(State.DELAYED).length],
    ['DEAD is right', count(QueueWord.DEAD) === inState(State.DEAD).length],
    ['IN_FLIGHT is right', count(QueueWord.IN_FLIGHT) === numbers.filter((n) => isInFlight(state(n))).length],
    ['BYTES is right', total(QueueWord.BYTES) === items.reduce((sum, n) => sum + i32[at(n) + RecordWord.BYTES]!, 0)],
    ['pushed = popped + cleared + here', total(QueueWord.PUSHED) === total(QueueWord.POPPED) + total(QueueWord.CLEARED) + items.length],
    ['sequence numbers are new', items.every((n) => sequence(n) < total(QueueWord.SEQUENCE))]
  ]
  const failed = checks.filter(([, holds]) => !holds).map(([what]) => what)
  return failed.length === 0 ? undefined : `not so: ${failed.join(', ')}`
}

function blocksOf (memory: SharedMemory, name: string): number[] {
  const queue = queueWord(memory, name)
  const pages = Array.from({ length: pagesOf(definitionOf(memory, name).capacity) }, (_, page) => queue + QueueWord.PAGES + page * 2)
  const made = memory.region.i32[queue + QueueWord.MADE]!
  const records = Array.from({ length: made }, (_, n) => recordWord(memory, name, n + 1, queue))
  return [queue + QueueWord.POPPERS, queue + QueueWord.PUSHERS, ...pages, ...records.flatMap((at) => [at + RecordWord.DATA, at + RecordWord.ERROR])]
}

/** Where a queue begins, as a word of the region. */
export function queueWord (memory: SharedMemory, name: string): number {
  const definition = definitionOf(memory, name)
  return memory.open({ type: 'queue', name, definition, bytes: payloadBytes(definition.capacity) }) / 4
}

function definitionOf (memory: SharedMemory, name: string): Definition {
  return memory.find('queue', name) as Definition
}
