import { Uint32Atomic } from '../../plugins/atomic/memory.ts'
import { createLauncherMemory, libc } from '../../plugins/shared-memory/index.ts'

/* A launcher process of a test: maps a file, counts in it, says so, and stays until it is killed. */

const [file, folder, bytes, end] = process.argv.slice(2) as [string, string, string, string]
// The kill -9 between two steps of making the file.
if (end === 'before-format') {
  const real = libc()
  const map = real.map
  real.map = (fd, size) => size === Number(bytes) ? process.kill(process.pid, 'SIGKILL') as never : map(fd, size)
}
if (end === 'before-room') libc().allocate = () => process.kill(process.pid, 'SIGKILL') as never
const { memory } = createLauncherMemory({ bytes: Number(bytes), folder, file, warn () {} })
new Uint32Atomic(memory, 'count', 0).add(5)
memory.allocator.allocate(100)
process.send!('ready')
setInterval(() => {}, 1000)
