import type { CookieLike, SessionLike } from './cookie.ts'

/** What express-session keeps on a request. */
export interface ExpressRequest {
  sessionID: string
  sessionStore?: object
  session?: any
  headers?: object
}

/** What express-session adds to a store. */
interface Generator {
  generate?: (request: ExpressRequest) => void
}

interface Kinds {
  Session: new (request: ExpressRequest, data: object) => object
  /** Whose setters take what a cookie was stored with. */
  cookie: object
}

const known = new WeakMap<Function, Kinds>()

/**
 * Makes what a store gave the live session of a request, as the class that stores of express-session derive from does. That
 * package is nobody's here: the classes are those of the sessions that it generates.
 */
export function createSession (store: Generator, request: ExpressRequest, session: SessionLike): object {
  const stored = session.cookie as CookieLike
  const originalMaxAge = stored.originalMaxAge
  const kinds = kindsOf(store, request)
  // With what is under a symbol, by which the store knows what it gave.
  const cookie = Object.assign(Object.create(kinds.cookie), { path: '/', httpOnly: true, expires: null }, stored, { originalMaxAge })
  request.session = new kinds.Session(request, { ...session, cookie })
  return request.session
}

function kindsOf (store: Generator, request: ExpressRequest): Kinds {
  const { generate } = store
  if (generate === undefined) throw new TypeError('createSession is for a store that express-session was given')
  let kinds = known.get(generate)
  if (kinds === undefined) {
    // It looks at the request's headers, and would change its session.
    const example: ExpressRequest = Object.assign(Object.create(request), { headers: request.headers ?? {} })
    generate(example)
    kinds = { Session: example.session.constructor, cookie: Object.getPrototypeOf(example.session.cookie) }
    known.set(generate, kinds)
  }
  return kinds
}
