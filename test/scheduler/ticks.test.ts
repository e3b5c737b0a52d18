import { Cron } from 'croner'
import t from 'tap'
import { cronTicks, intervalTicks, onceTicks } from '../../plugins/scheduler/ticks.ts'
import { random } from '../shared-memory/random.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const ZONES = ['America/New_York', 'Europe/Paris', 'Australia/Lord_Howe']
const FROM = Date.UTC(2026, 0, 1)
const TO = Date.UTC(2028, 0, 1)

const iso = (ms: number) => new Date(ms).toISOString()

/** The ticks of a worker that looks at these times: of what has come meanwhile it takes the last. */
function taken (expression: string, timezone: string, lookAfter: (dueMs: number) => number): number[] {
  const ticks = cronTicks('x', expression, timezone)
  const all: number[] = []
  for (let dueMs = ticks.first(FROM); dueMs < TO;) {
    const tickMs = ticks.latest(lookAfter(dueMs), FROM, dueMs)
    all.push(tickMs)
    dueMs = ticks.next(tickMs, FROM)
  }
  return all
}

for (const timezone of ZONES) {
  for (const expression of ['30 2 * * *', '0 */2 * * *', '*/30 1-3 * * *', '15 30 1,2 * * SUN']) {
    t.test(`two years of "${expression}" in ${timezone} are croner's own times`, async t => {
      const cron = new Cron(expression, { paused: true, timezone })
      const expected: number[] = []
      for (let run = cron.nextRun(new Date(FROM))!; run.getTime() < TO; run = cron.nextRun(run)!) expected.push(run.getTime())
      const next = random(7)
      const own = taken(expression, timezone, (dueMs) => dueMs + next(1000))
      t.ok(own.length > 50)
      t.strictSame(own, expected)
    })
  }

  t.test(`in ${timezone}, when clocks change, each quarter of an hour that there is comes once`, async t => {
    // Not croner's word: every quarter of an hour, read off the clock of that place.
    const clock = new Intl.DateTimeFormat('en', { timeZone: timezone, hour: 'numeric', minute: 'numeric', hourCycle: 'h23' })
    const offsetAt = (ms: number) => new Date(new Date(ms).toLocaleString('en', { timeZone: timezone })).getTime() - Math.floor(ms / 1000) * 1000
    const changes = []
    for (let day = FROM; day < TO; day += DAY) if (offsetAt(day) !== offsetAt(day + DAY)) changes.push(day)
    t.equal(changes.length, 4, 'two a year')
    for (const change of changes) {
      const expected = []
      for (let ms = change; ms < change + 2 * DAY; ms += 60_000) {
        const [hour, minute] = clock.format(ms).split(':').map(Number)
        if (hour! >= 1 && hour! <= 3 && minute! % 15 === 0) expected.push(ms)
      }
      const ticks = cronTicks('x', '*/15 1-3 * * *', timezone)
      const own = []
      for (let ms = ticks.next(change - 1, 0); ms < change + 2 * DAY; ms = ticks.next(ms, 0)) own.push(ms)
      t.strictSame(own.map(iso), expected.map(iso))
    }
  })
}

t.test('a fixed time that a change of clocks leaves out comes after the gap, one that comes twice comes once', async t => {
  const on = (expression: string, timezone: string, afterMs: number) => {
    const { next } = cronTicks('x', expression, timezone)
    const first = next(afterMs, 0)
    return [iso(first), iso(next(first, 0))]
  }
  t.strictSame(on('30 2 * * *', 'America/New_York', Date.UTC(2027, 2, 14)), ['2027-03-14T07:00:00.000Z', '2027-03-15T06:30:00.000Z'])
  t.strictSame(on('30 1 * * *', 'America/New_York', Date.UTC(2026, 10, 1)), ['2026-11-01T05:30:00.000Z', '2026-11-02T06:30:00.000Z'])
  t.strictSame(on('30 2 * * *', 'Europe/Paris', Date.UTC(2026, 2, 28, 12)), ['2026-03-29T01:00:00.000Z', '2026-03-30T00:30:00.000Z'])
  t.strictSame(on('30 2 * * *', 'Europe/Paris', Date.UTC(2026, 9, 24, 12)), ['2026-10-25T00:30:00.000Z', '2026-10-26T01:30:00.000Z'])
  // Half an hour forward at 2:00, half an hour back at 2:00.
  t.strictSame(on('15 2 * * *', 'Australia/Lord_Howe', Date.UTC(2026, 9, 3)), ['2026-10-03T15:30:00.000Z', '2026-10-04T15:15:00.000Z'])
  t.strictSame(on('45 1 * * *', 'Australia/Lord_Howe', Date.UTC(2026, 3, 4)), ['2026-04-04T14:45:00.000Z', '2026-04-05T15:15:00.000Z'])
})

t.test('after an outage the last tick that was missed is found, and the others are counted', async t => {
  const { first, latest, next, count } = cronTicks('x', '0 * * * *', 'UTC')
  const dueMs = first(FROM)
  t.equal(iso(dueMs), '2026-01-01T01:00:00.000Z')
  const nowMs = FROM + 9.5 * HOUR
  t.equal(iso(latest(nowMs, FROM, dueMs)), '2026-01-01T09:00:00.000Z')
  t.equal(iso(latest(FROM + 9 * HOUR, FROM, dueMs)), '2026-01-01T09:00:00.000Z', 'on the tick')
  t.equal(iso(latest(FROM + 9 * HOUR - 1, FROM, dueMs)), '2026-01-01T08:00:00.000Z', 'just before it')
  t.equal(count(dueMs, latest(nowMs, FROM, dueMs), FROM), 8)
  t.equal(iso(next(latest(nowMs, FROM, dueMs), FROM)), '2026-01-01T10:00:00.000Z')
})

t.test('a cron expression with a last year ends', async t => {
  const { first, next } = cronTicks('x', '0 0 0 31 12 * 2030', 'UTC')
  const tickMs = first(FROM)
  t.equal(iso(tickMs), '2030-12-31T00:00:00.000Z')
  t.equal(next(tickMs, FROM), Infinity)
})

t.test('the ticks of an interval are the same wherever one looks from', async t => {
  const { first, latest, next, count } = intervalTicks('x', 7)
  t.equal(first(1000), 1007)
  for (let ms = 1000; ms < 1100; ms++) {
    const tickMs = latest(ms, 1000, 1007)
    t.ok(tickMs <= ms && tickMs > ms - 7 && (tickMs - 1000) % 7 === 0)
    t.equal(next(ms, 1000), tickMs + 7)
  }
  t.equal(count(1007, 1028, 1000), 3)
  t.equal(intervalTicks('x', '1.5s').first(0), 1500)
})

t.test('one that runs once has one tick', async t => {
  const { first, latest, next } = onceTicks('x', '2s')
  t.equal(first(1000), 3000)
  t.equal(latest(9000, 1000, 3000), 3000)
  t.equal(next(3000, 1000), Infinity)
})
