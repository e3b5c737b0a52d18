/*
 * Plain reads and writes that others see in order. To V8 every call of Atomics is a call, some 6 ns for a read and 9 for a
 * write; on x64 the processor never reorders two reads, nor two writes, so there plain ones will do, if a call of
 * Atomics follows before the loop comes round: V8 keeps nothing it has read over a call, and does not reorder writes.
 * On other processors these are the calls.
 */
const isOrdered = process.arch === 'x64'
const word = new Int32Array(1)

/** Reads after it are not done before it. */
export const loadAcquire: (words: Int32Array, index: number) => number =
  isOrdered ? (words, index) => words[index]! : (words, index) => Atomics.load(words, index)

/** Reads and writes before it are not done after it. */
export const storeRelease: (words: Int32Array, index: number, value: number) => void =
  isOrdered ? (words, index, value) => { words[index] = value } : (words, index, value) => { Atomics.store(words, index, value) }

/** Plain reads before it are not done after an `Atomics.load` behind it. */
export const fence: () => void = isOrdered ? () => {} : () => { Atomics.add(word, 0, 0) }
