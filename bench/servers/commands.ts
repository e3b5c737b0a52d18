import { spawnSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/* The commands that are compared, each as its package's `bin` starts it. */
const PARENT = join(import.meta.dirname, '..', '..')
const MODULES = join(import.meta.dirname, '..', 'node_modules')
const BUILT = join(PARENT, 'dist', 'cli', 'main.js')

/** fastify-swoole as users run it: built. It is built again when a source file is newer. */
export function fastifySwoole (): string[] {
  const builtAt = statSync(BUILT, { throwIfNoEntry: false })?.mtimeMs ?? 0
  if (['cli', 'plugins'].some((folder) => newest(join(PARENT, folder)) > builtAt)) {
    const { status, stdout } = spawnSync('npm', ['run', 'build'], { cwd: PARENT, encoding: 'utf8' })
    if (status !== 0) throw new Error(`npm run build failed\n${stdout}`)
  }
  return [process.execPath, BUILT]
}

export const fastifySwooleSource = [process.execPath, join(PARENT, 'cli', 'main.ts')]
export const fastifyCli = [process.execPath, join(MODULES, 'fastify-cli', 'cli.js')]
export const pm2 = [process.execPath, join(MODULES, 'pm2', 'bin', 'pm2')]
export const wattpm = [process.execPath, join(MODULES, 'wattpm', 'bin', 'cli.js')]

function newest (folder: string): number {
  return Math.max(...readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => statSync(join(folder, name)).mtimeMs))
}
