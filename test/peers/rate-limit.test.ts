import t from 'tap'
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'

/* The tests that @fastify/rate-limit comes with, on our store. */
const folder = join(dirname(createRequire(import.meta.url).resolve('@fastify/rate-limit')), 'test')
const NOT_OURS: Record<string, string> = {
  'redis-rate-limit.test.js': 'it is about the store in Redis',
  'local-store-close.test.js': 'it is about the store that ours takes the place of'
}
/** Tests that fail, and why that is right. */
const EXCEPTIONS: Record<string, string> = {
  'With { increment: false } and exponentialBackoff the peek reports the base window without escalating it':
    'a look tells how long the client really has to wait, as with its store in Redis'
}

const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.test.js') && !(file in NOT_OURS))

t.ok(files.length >= 9, `${files.length} files`)

for (const file of files) {
  t.test(`${file} passes`, { timeout: 120_000 }, async t => {
    const { NODE_OPTIONS, ...env } = process.env
    const child = spawn(process.execPath, ['--import', join(import.meta.dirname, 'rate-limit-store.ts'), '--test-reporter=tap', join(folder, file)], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    const output = await text(child.stdout)
    const passed = Number(/^# pass (\d+)$/m.exec(output)?.[1])
    t.ok(passed > 0, `${passed} tests`)
    const failed = [...output.matchAll(/^not ok \d+ - (.*)$/gm)].map(([, name]) => name!)
    t.strictSame(failed.filter((name) => !(name in EXCEPTIONS)), [])
    t.equal(Number(/^# fail (\d+)$/m.exec(output)?.[1]), failed.length)
  })
}
