/** The schema of the number of connections, threads or processes in a pool. */
export const poolSizeSchema = { type: 'integer', minimum: 1, maximum: 10_000 } as const
