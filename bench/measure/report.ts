import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import type { Spread } from './rounds.ts'

/** What a benchmark was to show, and whether it did. */
export interface Target {
  what: string
  measured: number
  atLeast?: number
  atMost?: number
}

export interface Report {
  name: string
  settings: object
  targets: Target[]
  /** Every sample of every round, and what was made of them. */
  results: object
}

const RESULTS = join(import.meta.dirname, '..', 'results')
const PACKAGES = ['fastify', 'fastify-cli', 'pm2', 'wattpm', '@platformatic/node']

/** Prints which targets were met and writes `results/<name>.json`. */
export function report ({ name, settings, targets, results }: Report): void {
  const judged = targets.map((target) => ({ ...target, isMet: isMet(target) }))
  for (const { what, measured, atLeast, atMost, isMet } of judged) {
    const limit = atLeast === undefined ? `at most ${atMost}` : `at least ${atLeast}`
    process.stdout.write(`${isMet ? 'met   ' : 'MISSED'} ${what}: ${format(measured)} (${limit})\n`)
  }
  process.stdout.write('\n')
  const { length: cores, 0: cpu } = cpus()
  mkdirSync(RESULTS, { recursive: true })
  writeFileSync(join(RESULTS, `${name}.json`), `${JSON.stringify({
    name,
    date: new Date().toISOString(),
    command: `npm run bench -- ${name}`,
    commit: commit(),
    machine: { cpu: cpu?.model, cores, memoryGb: Math.round(totalmem() / 2 ** 30), kernel: release() },
    versions: { node: process.versions.node, ...packageVersions() },
    settings,
    targets: judged,
    results
  }, rounded, 2)}\n`)
}

/** Prints rows below a title, numbers to the right. */
export function printTable (title: string, columns: string[], rows: string[][]): void {
  const widths = columns.map((column, n) => Math.max(column.length, ...rows.map((row) => row[n]!.length)))
  const line = (cells: string[]) => cells.map((cell, n) => n === 0 ? cell.padEnd(widths[n]!) : cell.padStart(widths[n]!)).join('  ')
  process.stdout.write(['', title, line(columns), ...rows.map(line), '', ''].join('\n'))
}

export function format (value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value)
  return Math.abs(value) >= 1000 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))
}

/** `median (min..max)`. */
export function formatSpread ({ median, min, max }: Spread): string {
  return `${format(median)} (${format(min)}..${format(max)})`
}

function isMet ({ measured, atLeast = -Infinity, atMost = Infinity }: Target): boolean {
  return measured >= atLeast && measured <= atMost
}

function packageVersions (): Record<string, string> {
  const require = createRequire(import.meta.url)
  const versions: Record<string, string> = { 'fastify-swoole': readVersion(join(import.meta.dirname, '..', '..')) }
  for (const name of PACKAGES) {
    const folder = require.resolve.paths(name)!.map((path) => join(path, name)).find((path) => readVersion(path) !== '')
    versions[name] = folder === undefined ? 'not installed' : readVersion(folder)
  }
  return versions
}

/** Which code of ours was measured; with `+` when cli/ or plugins/ differ from the commit. */
function commit (): string {
  const git = (...args: string[]) => spawnSync('git', args, { cwd: join(import.meta.dirname, '..', '..'), encoding: 'utf8' }).stdout?.trim() ?? ''
  return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--', 'cli', 'plugins') === '' ? '' : '+')
}

function readVersion (folder: string): string {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version
  } catch {
    return ''
  }
}

function rounded (_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(6)) : value
}
