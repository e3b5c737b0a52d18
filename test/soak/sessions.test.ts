import t from 'tap'
import { killWhileUsingSessions } from '../session/kill-workers.ts'

t.test('200,000 sessions while a worker is killed each second: none is another\'s, none is lost before its time', { timeout: 600_000 }, async t => {
  await killWhileUsingSessions(t, { sessions: 200_000, seconds: 60 })
})
