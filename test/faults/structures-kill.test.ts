import t from 'tap'
import { killWhileUsingStructures } from './kill-structures.ts'

t.test('40 workers killed while they use a table, locks and a queue; `npm run soak` kills 500', { timeout: 170_000 }, async t => {
  await killWhileUsingStructures(t, 40)
})
