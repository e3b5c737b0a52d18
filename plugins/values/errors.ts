/** An error as data: what it is called, what it says, those of its own properties that are plain, and its causes. */
export interface ErrorData {
  name: string
  message: string
  properties: Record<string, unknown>
  stack?: string
  cause?: ErrorData
}

const MOST_CAUSES = 10
/** Of a message, a stack and a property. */
const MOST_CHARACTERS = 16_384
const UNTOLD = 'it cannot be told'

/** Nothing of an error, not even a getter that throws, keeps others from hearing of it. With its stack only if that is asked for. */
export function dataOfError (error: unknown, withStack = false, causes = MOST_CAUSES): ErrorData {
  try {
    return error instanceof Error ? dataOf(error, withStack, causes) : { name: 'Error', message: textOf(() => error), properties: {} }
  } catch {
    // A Proxy may throw at anything.
    return { name: 'Error', message: UNTOLD, properties: {} }
  }
}

function dataOf (error: Error, withStack: boolean, causes: number): ErrorData {
  const properties: Record<string, unknown> = {}
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(error))) {
    if (name === 'stack' || name === 'message') continue
    if (typeof value === 'string') properties[name] = value.slice(0, MOST_CHARACTERS)
    else if (typeof value === 'number' || typeof value === 'boolean') properties[name] = value
  }
  const data: ErrorData = { name: textOf(() => error.name), message: textOf(() => error.message), properties }
  if (withStack) data.stack = textOf(() => error.stack)
  const cause = Object.getOwnPropertyDescriptor(error, 'cause')?.value as unknown
  if (cause !== undefined && causes > 0) data.cause = dataOfError(cause, withStack, causes - 1)
  return data
}

/** The error again, of no class of its own. Without a stack in the data, its stack is its name and message. */
export function errorOf ({ name, message, properties, stack, cause }: ErrorData): Error {
  const error = Object.assign(new Error(message, cause === undefined ? undefined : { cause: errorOf(cause) }), properties)
  const own = (key: string, value: string) => Object.defineProperty(error, key, { value, configurable: true, writable: true })
  own('name', name)
  own('stack', stack ?? `${name}: ${message}`)
  return error
}

function textOf (read: () => unknown): string {
  try {
    return String(read()).slice(0, MOST_CHARACTERS)
  } catch {
    return UNTOLD
  }
}

/** What is thrown may be anything, also what throws when it is looked at. */
export function messageOf (error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error)
  } catch {
    return `of type ${typeof error}, and cannot be shown`
  }
}
