import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atExit } from '../measure/clean-up.ts'

/** A project of an application, in a temporary folder of its own with the packages that it uses. */
export interface Project extends Disposable {
  readonly path: string
  /** The environment of whatever runs in it: temporary files stay in the project and vanish with it. */
  readonly env: Record<string, string>
  write (file: string, text: string): void
  /** Removes what V8 compiled in earlier starts. */
  clearCompileCache (): void
}

const SMALL = join(import.meta.dirname, 'project')
const PACKAGES = ['fastify', '@platformatic', 'wattpm']
const MODULES = join(import.meta.dirname, '..', 'node_modules')
const OWN = { 'fastify-swoole': join(import.meta.dirname, '..', '..') } as Record<string, string>

/** By default the small application that all launchers run. */
export function createProject (template: string = SMALL, packages: string[] = PACKAGES): Project {
  const path = mkdtempSync(join(tmpdir(), 'bench-'))
  const temporary = join(path, 'tmp')
  const modules = join(path, 'node_modules')
  const remove = () => rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  const forget = atExit(remove)
  cpSync(template, path, { recursive: true })
  mkdirSync(temporary)
  mkdirSync(modules)
  for (const name of packages) symlinkSync(OWN[name] ?? join(MODULES, name), join(modules, name))
  return {
    path,
    env: { TMPDIR: temporary, NODE_ENV: 'production' },
    write: (file, text) => writeFileSync(join(path, file), text),
    clearCompileCache () {
      // The workers' folder, and the one of the command itself; see cli/compile-cache.ts and cli/main.ts.
      rmSync(join(modules, '.cache'), { recursive: true, force: true })
      rmSync(join(temporary, 'node-compile-cache'), { recursive: true, force: true })
    },
    [Symbol.dispose] () {
      remove()
      forget()
    }
  }
}
