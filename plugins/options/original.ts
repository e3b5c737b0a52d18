import { resolve } from 'node:path'

/*
 * The original's configuration: YAML under the key `swoole`, snake_case, seconds. What it spells otherwise than ours
 * beyond the case of its letters is listed here.
 */

const RENAMED: Readonly<Record<string, string>> = { 'rateLimiter.windowSeconds': 'window' }
const ORIGINAL_NAMES: Readonly<Record<string, string>> = { 'rateLimiter.window': 'windowSeconds' }

const IN_SECONDS: ReadonlySet<string> = new Set([
  'performance.heartbeatInterval',
  'performance.heartbeatIdleTime',
  'database.mysql.timeout',
  'database.postgresql.timeout',
  'database.redis.timeout',
  'rateLimiter.windowSeconds',
  'metrics.exportInterval'
])

/** Swoole's own bits: SWOOLE_SSL_TLSv1_2 is 32, SWOOLE_SSL_TLSv1_3 is 64. */
const TLS_BIT_MASKS: Readonly<Record<number, string[]>> = { 32: ['TLSv1.2'], 64: ['TLSv1.3'], 96: ['TLSv1.2', 'TLSv1.3'] }

/**
 * The original's options in our spelling: names in camelCase, `%kernel.project_dir%` as the project's folder, numbers
 * of seconds as durations. What it does not know passes as it is, for the validation to refuse.
 *
 * @param content what stands under the key `swoole`
 * @param project the project's folder
 */
export function fromOriginal (content: unknown, project: string): unknown {
  return translate(content, [], resolve(project))
}

/** A path of our options as the original spells it: `swoole.performance.worker_num`. */
export function spellOriginal (path: readonly string[]): string {
  const name = ORIGINAL_NAMES[path.join('.')]
  const known = name === undefined ? path : [...path.slice(0, -1), name]
  return ['swoole', ...known.map(toSnakeCase)].join('.')
}

function translate (value: unknown, path: readonly string[], project: string): unknown {
  if (typeof value === 'string') return value.replaceAll('%kernel.project_dir%', () => project)
  if (typeof value === 'number') return translateNumber(value, path.join('.'))
  if (Array.isArray(value)) return value.map((item, index) => translate(item, [...path, String(index)], project))
  if (typeof value !== 'object' || value === null) return value

  return Object.fromEntries(Object.entries(value).map(([name, child]) => {
    const childPath = [...path, toCamelCase(name)]
    return [RENAMED[childPath.join('.')] ?? childPath.at(-1)!, translate(child, childPath, project)]
  }))
}

function translateNumber (value: number, name: string): unknown {
  if (name === 'https.protocols') return TLS_BIT_MASKS[value] ?? value
  if (!IN_SECONDS.has(name)) return value
  // "-5s" is refused as the user wrote it, -5000 would puzzle; a number like 1e-7 has no such form
  return /^-?\d+(\.\d+)?$/.test(String(value)) ? `${value}s` : value * 1000
}

function toCamelCase (name: string): string {
  return name.replaceAll(/_([a-z\d])/g, (_, letter: string) => letter.toUpperCase())
}

function toSnakeCase (name: string): string {
  return name.replaceAll(/(?<=[a-z\d])(?=[A-Z])/g, '_').toLowerCase()
}
