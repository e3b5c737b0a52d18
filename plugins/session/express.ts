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

interface Classes {
  Session: new (request: ExpressRequest, data: object) => object
  Cookie: new (options: object) => CookieLike
}

const known = new WeakMap<Function, Classes>()

/**
 * Makes what a store gave the live session of a request, as the class that stores of express-session derive from does. That
 * package is nobody's here: its classes are those of the sessions that it generates.
 */
export function createSession (store: Generator, request: ExpressRequest, session: SessionLike): object {
  const { Session, Cookie } = classesOf(store, request)
  const { originalMaxAge } = session.cookie!
  const cookie = new Cookie(session.cookie!)
  cookie.originalMaxAge = originalMaxAge
  request.session = new Session(request, { ...session, cookie })
  return request.session
}

function classesOf (store: Generator, request: ExpressRequest): Classes {
  const { generate } = store
  if (generate === undefined) throw new TypeError('createSession is for a store that express-session was given')
  let classes = known.get(generate)
  if (classes === undefined) {
    // It looks at the request's headers, and would change its session.
    const example: ExpressRequest = Object.assign(Object.create(request), { headers: request.headers ?? {} })
    generate(example)
    classes = { Session: example.session.constructor, Cookie: example.session.cookie.constructor }
    known.set(generate, classes)
  }
  return classes
}
