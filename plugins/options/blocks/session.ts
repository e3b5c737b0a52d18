import { bytesOrNullSchema, bytesSchema } from '../bytes.ts'
import { durationSchema } from '../duration.ts'

const SHORTEST_SECRET = 32
/** 400 days, the longest that browsers keep a cookie. */
const LONGEST_TTL = 34_560_000_000

/** Sessions that all workers share. */
export const session = {
  type: 'object',
  description: 'Sessions that all workers share.',
  additionalProperties: false,
  properties: {
    secret: {
      type: ['string', 'array', 'null'],
      minLength: SHORTEST_SECRET,
      minItems: 1,
      items: { type: 'string', minLength: SHORTEST_SECRET, accepts: `a string of at least ${SHORTEST_SECRET} characters` },
      accepts: `a string of at least ${SHORTEST_SECRET} characters, or a list of such`,
      description: 'Signs the cookies; it must be given. Of several the first signs, and cookies of the others are still accepted.',
      default: null
    },
    ttl: {
      ...durationSchema,
      minimum: 1,
      maximum: LONGEST_TTL,
      description: 'A session ends so long after its last request.',
      default: '1h'
    },
    rolling: {
      type: 'boolean',
      description: 'Each request with the session begins its ttl anew; false lets only a change of the session do so.',
      default: true
    },
    saveUninitialized: {
      type: 'boolean',
      description: 'Store a session, and send its cookie, before there is anything in it.',
      default: false
    },
    size: {
      ...bytesOrNullSchema,
      minimum: 262_144,
      maximum: 4_294_967_296,
      description: 'Bytes of the shared memory for all sessions; null is 8 MiB, or an eighth of memory.size if that is less. When they are full, the least recently used session goes.',
      default: null
    },
    maxBytes: {
      ...bytesSchema,
      minimum: 256,
      maximum: 1_073_741_824,
      description: 'Largest session, in bytes; at most a quarter of session.size.',
      default: '64kb'
    },
    cookieName: {
      type: 'string',
      pattern: '^[\\w!#$%&\'*+.^`|~-]+$',
      accepts: 'a name that a cookie may have',
      description: 'Name of the cookie.',
      default: 'sessionId'
    },
    cookie: {
      type: 'object',
      additionalProperties: false,
      properties: {
        path: {
          type: 'string',
          pattern: '^/[\\x20-\\x3a\\x3c-\\x7e]*$',
          accepts: 'a path that begins with "/", of ASCII characters and without ";"',
          description: 'Requests below this path have the session.',
          default: '/'
        },
        domain: {
          type: ['string', 'null'],
          pattern: '^\\.?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$',
          accepts: 'the name of a domain, or null',
          description: 'Domain whose hosts get the cookie; null is the host that set it alone.',
          default: null
        },
        secure: {
          type: ['boolean', 'string'],
          enum: [true, false, 'auto'],
          description: 'Only over HTTPS; "auto" is so for sessions that begin over HTTPS.',
          default: 'auto'
        },
        httpOnly: {
          type: 'boolean',
          description: 'Keep the cookie from the page\'s scripts.',
          default: true
        },
        sameSite: {
          type: 'string',
          enum: ['strict', 'lax', 'none'],
          description: 'Whether requests that another site causes have the cookie.',
          default: 'lax'
        },
        partitioned: {
          type: 'boolean',
          description: 'Another cookie for each site that embeds this one (CHIPS).',
          default: false
        },
        persistent: {
          type: 'boolean',
          description: 'The browser keeps the cookie for the ttl; false, until it is closed.',
          default: true
        }
      }
    }
  }
} as const
