/** An error of what the application gave, such as a key that is no string: it is no fault of the client, who gets 500, and the log has it. */
export function applicationFault (error: unknown): Error {
  return Object.assign(error as Error, { statusCode: 500 })
}

/** Whether it is a promise, of which nothing comes for whoever needs a value at once. */
export const isPromise = (value: unknown): value is Promise<unknown> => typeof (value as Promise<unknown> | null | undefined)?.then === 'function'

/** For a promise that is refused: what it rejects with is no longer anybody's. */
export function refuse (value: unknown): void {
  if (isPromise(value)) value.then(undefined, () => {})
}
