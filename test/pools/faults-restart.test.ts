import t from 'tap'
import { startOwnServer } from '../support/database-servers.ts'
import { KINDS, failOnUncaught, observe, openSubject, turn } from './subjects.ts'
import { isWhole, unique } from './whole.ts'

const TIMEOUT_MS = 1000
const SLACK_MS = 1500

t.jobs = KINDS.length
failOnUncaught(t)

for (const kind of KINDS) {
  t.test(`${kind} is stopped and started again: callers have an error within the timeout, then their answer, and no connection stays behind`, { buffered: true, timeout: 120_000 }, async t => {
    const server = await startOwnServer(kind)
    t.teardown(() => server.remove())
    const { host, port, user } = server
    const database = kind === 'redis' ? undefined : kind === 'mysql' ? 'mysql' : 'postgres'
    const address = { host, port, ...(user === undefined ? {} : { user }), ...(database === undefined ? {} : { database }) }
    const name = 'restarted'
    const options = { name, ...(kind === 'postgresql' ? { clientOptions: { application_name: name } } : {}) }
    const subject = await openSubject(t, kind, address, { ...options, poolSize: 3, timeout: TIMEOUT_MS })
    for (const crash of [false, true]) {
      const isRunning = { value: true }
      const callers = Array.from({ length: 6 }, () => keepAsking())
      await server.stop({ crash })
      // One that comes while it is away, and it is known.
      while (subject.pool.getStats().available > 0) await turn()
      const begunMs = performance.now()
      await t.rejects(subject.pool.withConnection((connection) => subject.askOn(connection, unique())), { code: 'FST_SWOOLE_POOL_TIMEOUT' })
      t.ok(performance.now() - begunMs < TIMEOUT_MS + SLACK_MS)
      await server.restart()
      const number = unique()
      t.equal(await subject.ask(number), number, 'it is there again for the first that comes')
      isRunning.value = false
      await Promise.all(callers)
      const beside = { teardowns: [] as Array<() => unknown>, teardown (end: () => unknown) { this.teardowns.push(end) } }
      const observer = await observe(beside, kind, address, name)
      await isWhole(t, subject, observer)
      for (const end of beside.teardowns) await end()

      async function keepAsking () {
        while (isRunning.value) {
          const [number, begunMs] = [unique(), performance.now()]
          await subject.ask(number).then((answer) => {
            if (answer !== number) t.fail(`asked for ${number}, got ${answer}`)
          }, (error) => {
            if (!(error instanceof Error)) t.fail(`${error}`)
          })
          const tookMs = performance.now() - begunMs
          if (tookMs > TIMEOUT_MS + SLACK_MS) t.fail(`${number} took ${tookMs} ms`)
          await turn()
        }
      }
    }
  })
}
