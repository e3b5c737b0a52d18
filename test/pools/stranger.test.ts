import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { SqlPool } from '../../plugins/pools/index.ts'
import { observe, openSubject } from './subjects.ts'

for (const kind of ['postgresql', 'mysql'] as const) {
  t.test(kind, async t => {
    const { server, run } = await observe(t, kind)
    const { pool } = await openSubject(t, kind, server) as { pool: SqlPool<any> }
    await run('CREATE TABLE items (id int PRIMARY KEY)')

    t.test('an abort within a transaction ends all of it, even if the outer one takes no notice', async t => {
      const controller = new AbortController()
      const reason = new Error('nobody waits for it any more')
      const both = pool.transaction(async (connection) => {
        await connection.query('INSERT INTO items VALUES (1)')
        await pool.transaction(async () => {
          await connection.query('INSERT INTO items VALUES (2)')
          controller.abort(reason)
        }, { signal: controller.signal }).catch((error) => t.equal(error, reason))
      })
      await t.rejects(both, reason)
      t.same(await run('SELECT id FROM items'), [])
      while (pool.getStats().inUse > 0) await sleep(5)
    })
  })
}
