import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { createLauncherMemory } from '../../plugins/shared-memory/index.ts'
import type { LauncherMemory } from '../../plugins/shared-memory/index.ts'

/** A region as the launcher makes it, with its bells in a folder of its own inside of `folder`. */
export function makeRegion (folder: string, bytes: number): { launcher: LauncherMemory, bells: string } {
  const bells = mkdtempSync(join(folder, 'region-'))
  return { launcher: createLauncherMemory({ bytes, folder: bells, warn: () => {} }), bells }
}
