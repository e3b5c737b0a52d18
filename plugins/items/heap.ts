import type { Region } from '../shared-memory/index.ts'
import { RecordWord } from './layout.ts'
import type { Records } from './records.ts'

/**
 * A binary heap of records, the least key first. Places count from 1; the record at place p stands in a word of record p.
 * Source: J. W. J. Williams, Algorithm 232: Heapsort (1964); `arrange` is R. W. Floyd's Algorithm 245 (1964).
 */
export class Heap {
  #region: Region
  #records: Records
  #sizeWord: number
  #slot: number
  #key: number

  /** `slot` and `key`: the words of a record that hold a place of this heap, and the double that it is ordered by. */
  constructor (region: Region, records: Records, sizeWord: number, slot: number, key: number) {
    this.#region = region
    this.#records = records
    this.#sizeWord = sizeWord
    this.#slot = slot
    this.#key = key
  }

  get size (): number {
    return this.#region.i32[this.#sizeWord]!
  }

  /** The record with the least key, 0 when there is none. */
  first (): number {
    return this.size === 0 ? 0 : this.#at(1)
  }

  insert (n: number): void {
    this.append(n)
    this.#up(n, this.size)
  }

  remove (n: number): void {
    const place = this.#region.i32[this.#records.at(n) + RecordWord.PLACE]!
    const size = this.size
    const last = this.#at(size)
    this.#region.i32[this.#sizeWord] = size - 1
    if (last === n) return
    this.#up(last, place)
    this.#down(last, this.#region.i32[this.#records.at(last) + RecordWord.PLACE]!)
  }

  empty (): void {
    this.#region.i32[this.#sizeWord] = 0
  }

  /** Adds a record where it may not belong; `arrange` has to follow. */
  append (n: number): void {
    const size = this.size + 1
    this.#region.i32[this.#sizeWord] = size
    this.#put(n, size)
  }

  arrange (): void {
    for (let place = this.size >>> 1; place > 0; place--) this.#down(this.#at(place), place)
  }

  #up (n: number, place: number): void {
    const key = this.#keyOf(n)
    while (place > 1) {
      const parent = this.#at(place >>> 1)
      if (this.#keyOf(parent) <= key) break
      this.#put(parent, place)
      place >>>= 1
    }
    this.#put(n, place)
  }

  #down (n: number, place: number): void {
    const key = this.#keyOf(n)
    const size = this.size
    for (;;) {
      let least = place * 2
      if (least > size) break
      if (least < size && this.#keyOf(this.#at(least + 1)) < this.#keyOf(this.#at(least))) least++
      const child = this.#at(least)
      if (this.#keyOf(child) >= key) break
      this.#put(child, place)
      place = least
    }
    this.#put(n, place)
  }

  #at (place: number): number {
    return this.#region.i32[this.#records.at(place) + this.#slot]!
  }

  #put (n: number, place: number): void {
    this.#region.i32[this.#records.at(place) + this.#slot] = n
    this.#region.i32[this.#records.at(n) + RecordWord.PLACE] = place
  }

  #keyOf (n: number): number {
    return this.#region.f64[(this.#records.at(n) + this.#key) / 2]!
  }
}
