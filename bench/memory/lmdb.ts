import { open } from 'lmdb'
import type { Database } from 'lmdb'
import { overKeys } from '../measure/loops.ts'
import type { Loop } from '../measure/loops.ts'
import type { Maps, Operation } from './rows.ts'

export type PeerOperation = Exclude<Operation, 'has'>
export const PEER_OPERATIONS: PeerOperation[] = ['get a row', 'get a number', 'set a row', 'incr']

export interface Lmdb {
  rows: Database<{ n: number, s: string }, string>
  numbers: Database<number, string>
}

/** LMDB at its fastest: in a folder of a tmpfs, and it never waits for a disk. */
export function openLmdb (folder: string): Lmdb {
  const root = open({ path: folder, noSync: true })
  return { rows: root.openDB({ name: 'rows' }), numbers: root.openDB({ name: 'numbers' }) }
}

export function fillLmdb ({ rows, numbers }: Lmdb, { rows: from }: Maps): void {
  rows.transactionSync(() => {
    for (const [key, row] of from) {
      rows.putSync(key, row)
      numbers.putSync(key, row.n)
    }
  })
}

export function lmdbLoop (operation: PeerOperation, { rows, numbers }: Lmdb, keys: string[], s: string): Loop {
  switch (operation) {
    case 'get a row': return overKeys(keys, 'row.n + row.s.length', { db: rows }, 'const row = db.get(key);')
    case 'get a number': return overKeys(keys, 'db.get(key)', { db: numbers })
    case 'set a row': return overKeys(keys, 'n', { db: rows, s }, 'db.putSync(key, { n, s });')
    case 'incr': return overKeys(keys, 'next', { db: numbers }, 'let next; db.transactionSync(() => { next = db.get(key) + 1; db.putSync(key, next) });')
  }
}
