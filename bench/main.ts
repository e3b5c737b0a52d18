/* npm run bench [-- <name> …]: the named comparisons, or all, one after another. */
const BENCHMARKS = ['http', 'front', 'start', 'atomic', 'memory', 'state', 'tasks', 'pools', 'watch', 'reload']

const named = process.argv.slice(2)
const unknown = named.find((name) => !BENCHMARKS.includes(name))
if (unknown !== undefined) {
  process.stderr.write(`There is no benchmark "${unknown}"; there are ${BENCHMARKS.join(', ')}\n`)
  process.exit(1)
}
for (const name of named.length > 0 ? named : BENCHMARKS) {
  process.stderr.write(`${name}\n`)
  const { run } = await import(`./${name}.ts`) as { run (): Promise<void> }
  await run()
}
