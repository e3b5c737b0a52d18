import { existsSync, readFileSync } from 'node:fs'

/** The package's version; its package.json is one folder up from the source, two from what is built of it. */
export function readVersion (): string {
  const url = ['../package.json', '../../package.json'].map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url))!
  return JSON.parse(readFileSync(url, 'utf8')).version
}
