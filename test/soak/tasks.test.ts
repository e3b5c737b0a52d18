import t from 'tap'
import { killWhileRunningTasks } from '../task-worker/kill-workers.ts'

t.test('100,000 tasks while a task worker is killed every 100 ms: each ends once and ran, each call has its answer', { timeout: 900_000 }, async t => {
  await killWhileRunningTasks(t, { tasks: 100_000, fragile: 5000, calls: 10_000 })
})
