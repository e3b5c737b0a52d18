import t from 'tap'
import { killWhileUsingStructures } from '../faults/kill-structures.ts'

t.test('500 workers killed while they use a table, locks and a queue', { timeout: 600_000 }, async t => {
  await killWhileUsingStructures(t, 500)
})
