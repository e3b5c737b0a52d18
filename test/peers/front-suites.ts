import { execFile, spawn } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'

/*
 * The tests that other packages are published with, once with node:http and once with the front before each server that they make.
 * Those of @fastify/session and @fastify/http-proxy are in their repositories only.
 */
export interface Suite {
  package: string
  /** Within the package; `test/**` in general. */
  files?: string
  /** Files that say nothing about servers, and why they are left out. */
  without?: Record<string, string>
}

export const SUITES: readonly Suite[] = [
  { package: 'fastify', without: { 'test/bundler/**': 'they bundle', 'test/build/**': 'they compare generated code' } },
  { package: '@fastify/compress' },
  { package: '@fastify/static' },
  { package: '@fastify/cookie' },
  { package: '@fastify/rate-limit', without: { 'test/*redis*': 'they need Redis' } },
  { package: '@fastify/websocket' },
  { package: '@fastify/multipart' },
  { package: '@fastify/sse' }
]

/** Tests that pass with node:http and not with the front, or the other way round, and why that is right. */
export const EXCEPTIONS: Record<string, string> = {}

/** Development dependencies that no test loads. */
const NOT_NEEDED = /^(@types\/|@stylistic\/|@arethetypeswrong\/|@fastify\/pre-commit|eslint|neostandard|tstyche|typescript|c8|borp|autocannon|branch-comparer|concurrently|cross-env|markdownlint|fastify-tsconfig|benchmark|climem|sqlite3|knex)/
const FILE_TIMEOUT_MS = 120_000
/** A test that fails now and then is tried again. */
const ATTEMPTS = 3
const AT_ONCE = 2

const run = promisify(execFile)
const require = createRequire(import.meta.url)
const preload = join(import.meta.dirname, 'front-preload.ts')

/** The versions that are installed here, or the newest. */
function versionOf (name: string): string {
  try {
    return (require(`${name}/package.json`) as { version: string }).version
  } catch {
    return 'latest'
  }
}

/** Installs a package, and what its tests need, into a folder. Gives the package's own. */
export async function install (suite: Suite, folder: string): Promise<string> {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'package.json'), '{ "private": true }')
  const npm = async (...specifiers: string[]) => { await run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--legacy-peer-deps', ...specifiers], { cwd: folder }) }
  await npm(`${suite.package}@${versionOf(suite.package)}`)
  const root = join(folder, 'node_modules', suite.package)
  const { devDependencies = {} } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { devDependencies?: Record<string, string> }
  const needed = Object.entries({ ...devDependencies, ...(suite.package === 'fastify' ? {} : { fastify: versionOf('fastify') }) }).filter(([name]) => !NOT_NEEDED.test(name))
  await npm(...needed.map(([name, range]) => `${name}@${range}`))
  return root
}

export interface Outcome {
  passed: number
  failed: string[]
  servers: number
}

async function runFile (root: string, file: string, isFront: boolean): Promise<Outcome> {
  const { NODE_OPTIONS, ...env } = process.env
  const child = spawn(process.execPath, [...(isFront ? ['--import', preload] : []), '--test-reporter=tap', file], { cwd: root, env, stdio: ['ignore', 'pipe', 'ignore'], timeout: FILE_TIMEOUT_MS, killSignal: 'SIGKILL' })
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const output = await text(child.stdout)
  const failed = [...output.matchAll(/^( *)not ok \d+ - (.*)$/gm)].map(([, indent, name]) => `${file}: ${'> '.repeat(indent!.length / 4)}${name}`)
  if (await exited !== 0 && failed.length === 0) failed.push(`${file}: does not end well`)
  return { passed: [...output.matchAll(/^ *ok \d+ - /gm)].length, failed, servers: Number(/^# servers with the front: (\d+)$/m.exec(output)?.[1] ?? 0) }
}

/** What fails with one of them each time, and never with the other. */
async function compareFile (root: string, file: string): Promise<{ differences: string[], node: Outcome, front: Outcome }> {
  const both = async () => [await runFile(root, file, false), await runFile(root, file, true)] as const
  let [node, front] = await both()
  for (let n = 1; n < ATTEMPTS && differencesOf(node, front).length > 0; n++) {
    const again = await both()
    const kept = ({ failed, ...outcome }: Outcome, other: Outcome) => ({ ...outcome, failed: failed.filter((name) => other.failed.includes(name)) })
    node = kept(node, again[0])
    front = kept(front, again[1])
  }
  return { differences: differencesOf(node, front).filter((name) => !(name.slice(name.indexOf(': ') + 2) in EXCEPTIONS)), node, front }
}

function differencesOf (node: Outcome, front: Outcome): string[] {
  return [
    ...front.failed.filter((name) => !node.failed.includes(name)).map((name) => `only with the front: ${name}`),
    ...node.failed.filter((name) => !front.failed.includes(name)).map((name) => `only with node:http: ${name}`)
  ]
}

export interface Comparison {
  files: number
  passed: number
  /** Fail with both. */
  failed: string[]
  servers: number
  differences: string[]
}

/** Runs all files of a suite that is installed in a folder. */
export async function compareSuite (suite: Suite, root: string): Promise<Comparison> {
  const without = Object.keys(suite.without ?? {})
  const files = globSync(suite.files ?? 'test/**/*.test.{js,mjs}', { cwd: root, exclude: ['**/node_modules/**', ...without] }).sort()
  const comparison: Comparison = { files: files.length, passed: 0, failed: [], servers: 0, differences: [] }
  const queue = [...files]
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const { differences, front } = await compareFile(root, file)
      comparison.passed += front.passed
      comparison.servers += front.servers
      comparison.failed.push(...front.failed)
      comparison.differences.push(...differences)
    }
  }))
  return comparison
}
