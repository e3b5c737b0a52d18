/** Shows a line of progress: over the one before on a terminal, one below the other elsewhere. */
export function printProgress (line: string): void {
  process.stdout.write(`${line}\n`)
}
