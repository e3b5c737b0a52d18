const SECRET = /^(password|secret|key|url)$/i
const CREDENTIALS = /:\/\/[^/]*@/
const LONGEST = 80

/**
 * A value as an error message shows it: JSON, at most 80 characters, and `[hidden]` for what stands under a key named
 * password, secret, key or url, at any depth, and for a URL that carries credentials.
 */
export function showValue (value: unknown, path: readonly string[] = []): string {
  if (path.some(segment => SECRET.test(segment))) return '[hidden]'
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'number' || typeof value === 'bigint' || value === undefined) return String(value)

  if (typeof (value as Promise<unknown> | null)?.then === 'function') return 'a promise'
  if (value instanceof Date && Number.isNaN(value.getTime())) return 'an invalid Date'
  const text = toJson(value)
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text
}

function toJson (value: unknown): string {
  try {
    return JSON.stringify(value, (name, nested) => isSecret(name, nested) ? '[hidden]' : nested) ?? String(value)
  } catch {
    return 'a value that JSON cannot hold'
  }
}

function isSecret (name: string, value: unknown): boolean {
  return SECRET.test(name) || (typeof value === 'string' && CREDENTIALS.test(value))
}
