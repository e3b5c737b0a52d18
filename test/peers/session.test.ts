import t from 'tap'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'

/*
 * The tests of other session stores, on ours. Of express-session's stores memorystore comes with its tests; those of
 * @fastify/session and express-session are in their repositories only: FASTIFY_SESSION_CHECKOUT and EXPRESS_SESSION_CHECKOUT
 * name folders with these, in which npm install was run.
 */
const ours = (name: string) => ['--import', join(import.meta.dirname, name)]

/** Tests that fail, and why that is right. */
const EXCEPTIONS: Record<string, string> = {
  'constructor should use default options': 'it is about options of the other store',
  'should set options': 'it is about options of the other store',
  'should preserve falsy numeric options': 'it is about options of the other store',
  'should only contain 10 items': 'ours are limited by bytes',
  'should delete the first item': 'ours are limited by bytes',
  'automatic check for expired entries should be disabled': 'what has expired is no session, whenever it is reclaimed',
  'should not persist sessions that fail to serialize': 'a cycle is data'
}
/** Of express-session 1.19, with its own store as well. */
const BROKEN: Record<string, string> = { 'session() should create multiple sessions': 'with Node 26 a connection is cut' }

async function run (cwd: string, args: string[], replaced: string[]): Promise<string> {
  const { NODE_OPTIONS, ...env } = process.env
  const child = spawn(process.execPath, args, { cwd, env: { ...env, NODE_ENV: 'test', NO_DEPRECATION: 'express-session', FASTIFY_SWOOLE_PEER: replaced.join() }, stdio: ['ignore', 'pipe', 'inherit'] })
  return await text(child.stdout)
}

const failed = (output: string) => [...output.matchAll(/^ *not ok \d+ -? ?(.*)$/gm)].map(([, name]) => name!)
const passed = (output: string) => [...output.matchAll(/^ *ok \d+/gm)].length

t.test('the tests of memorystore pass', { timeout: 60_000 }, async t => {
  const main = createRequire(import.meta.url).resolve('memorystore')
  const file = join(dirname(main), 'test/store.js')
  const output = await run(dirname(main), [...ours('session-store.ts'), ...ours('mocha.ts'), '--test-reporter=tap', file], [main])
  t.strictSame(failed(output).filter((name) => !(name in EXCEPTIONS)), [])
  t.ok(passed(output) >= 14, `${passed(output)} passed`)
})

const fastifySession = process.env.FASTIFY_SESSION_CHECKOUT
t.test('the tests of @fastify/session pass', { skip: fastifySession === undefined, timeout: 120_000 }, async t => {
  const replaced = ['lib/store.js', 'test/TestStore.js'].map((file) => join(fastifySession!, file))
  const files = readdirSync(join(fastifySession!, 'test')).filter((name) => name.endsWith('.test.js')).map((name) => join('test', name))
  const output = await run(fastifySession!, [...ours('session-store.ts'), '--test', '--test-reporter=tap', ...files], replaced)
  t.strictSame(failed(output), [])
  t.ok(passed(output) >= 100, `${passed(output)} passed`)
})

const expressSession = process.env.EXPRESS_SESSION_CHECKOUT
t.test('the tests of express-session pass', { skip: expressSession === undefined, timeout: 120_000 }, async t => {
  const mocha = join(expressSession!, 'node_modules/mocha/bin/_mocha')
  t.ok(existsSync(join(expressSession!, 'test/fixtures/server.key')), 'test/support/gencert.sh was run')
  const output = await run(expressSession!, [...ours('session-store.ts'), mocha, '--require', 'test/support/env', '--check-leaks', '--reporter', 'tap', 'test'], [join(expressSession!, 'session/memory.js')])
  t.strictSame(failed(output).filter((name) => !(name in BROKEN)), [])
  t.ok(passed(output) >= 150, `${passed(output)} passed`)
})
