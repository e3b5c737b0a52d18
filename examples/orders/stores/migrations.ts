import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'

export interface Migration {
  name: string
  sql: string
}

/** The files of a dialect in the order in which they are to be run. */
export async function readMigrations (dialect: string): Promise<Migration[]> {
  const folder = join(import.meta.dirname, '..', 'migrations', dialect)
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
  return await Promise.all(names.map(async (name) => ({ name, sql: await readFile(join(folder, name), 'utf8') })))
}
