import t from 'tap'
import { killWhileRunningTasks } from './kill-workers.ts'

t.test('tasks while a task worker is killed every 100 ms: each ends once and ran, each call has its answer', { timeout: 150_000 }, async t => {
  await killWhileRunningTasks(t, { tasks: 5000, fragile: 500, calls: 500 })
})
