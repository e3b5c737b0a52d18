import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { SUITES, compareSuite, install } from '../peers/front-suites.ts'

for (const suite of SUITES) {
  t.test(`the tests of ${suite.package} pass with the front as with node:http`, { timeout: 1_500_000 }, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'front-suites-'))
    t.teardown(async () => { await rm(folder, { recursive: true, force: true }) })
    const { files, passed, failed, servers, differences } = await compareSuite(suite, await install(suite, folder))
    t.comment(`${files} files, ${passed} tests pass, ${servers} servers with the front; with both fail: ${failed.join('; ') || 'none'}`)
    t.strictSame(differences, [])
    t.ok(files > 0 && passed > 0, `${passed} tests pass`)
  })
}
