/** The schema of a port to listen on; 0 takes a free one. */
export const portSchema = { type: 'integer', minimum: 0, maximum: 65_535 } as const

/** The schema of a port of another server. */
export const remotePortSchema = { type: 'integer', minimum: 1, maximum: 65_535 } as const
