import type { SharedMemory } from '../../../plugins/shared-memory/index.ts'
import { int, string } from '../../../plugins/table/columns.ts'
import { SharedTable } from '../../../plugins/table/memory.ts'
import { NONE, TORN, rowAnswer } from '../models.ts'
import type { RowInput } from '../models.ts'
import { always, numberOf, said, textOf } from '../subject.ts'
import type { Subject } from '../subject.ts'

export function table (memory: SharedMemory): Subject<RowInput> {
  const rows = new SharedTable(memory, 'rows', { rows: 8, columns: { count: int(), text: string(80) } })
  return {
    reset: () => rows.clear(),
    isDue: always,
    perform ({ kind, object, value }) {
      const key = `row ${object}`
      switch (kind) {
        case 'set': rows.set(key, { count: value, text: textOf(value) }); return NONE
        case 'setCount': rows.set(key, { count: value }); return NONE
        case 'setText': rows.set(key, { text: textOf(value) }); return NONE
        case 'get': {
          const found = rows.get(key)
          if (found === undefined) return NONE
          const text = numberOf(found.text)
          return Number.isNaN(text) ? TORN : rowAnswer({ count: found.count, text })
        }
        case 'has': return said(rows.has(key))
        case 'delete': return said(rows.delete(key))
        case 'incr': return rows.incr(key, 'count', value)
      }
    }
  }
}
