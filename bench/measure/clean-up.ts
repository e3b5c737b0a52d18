/*
 * What must not outlive a benchmark, however it ends: `await using` gives things back in the ordinary case, and this
 * does in the others (an exception that nobody catches, Ctrl+C). It runs while the process exits, so it is synchronous.
 */
const pending = new Set<() => unknown>()

/** Runs `action` at the end of the process unless the returned function was called before. */
export function atExit (action: () => unknown): () => void {
  pending.add(action)
  return () => pending.delete(action)
}

// Last in, first out: a program ends before the folder goes in which it says who it is.
process.on('exit', () => {
  for (const action of [...pending].reverse()) action()
})
process.on('SIGINT', () => process.exit(130))
process.on('SIGTERM', () => process.exit(143))
