/** What a promise gives, or the signal's reason when that aborts first; what comes after that goes to `discard`. */
export function orAbort<T> (promise: Promise<T>, signal: AbortSignal, discard: (late: T) => void): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = () => {
      promise.then(discard, () => {})
      reject(signal.reason)
    }
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
