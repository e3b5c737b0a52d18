/*
 * What can be told of a statement by its text. Of what cannot be told, the worse is assumed: a session that may have changed
 * is reset before the next caller has it, which costs a round trip.
 */

/** A comment that MySQL executes is none. */
const LEADING = /^(?:\s|--[^\n]*\n|\/\*(?!M?!)[\s\S]*?\*\/|\()*([a-z]+)/i
/** Statements of which nothing is left in the session; what begins or ends a transaction is told otherwise. */
const PLAIN = new Set(['select', 'insert', 'update', 'delete', 'with', 'values', 'table', 'merge', 'replace', 'show', 'describe', 'begin', 'start', 'commit', 'end', 'rollback', 'abort', 'savepoint', 'release'])
const BEGINS = new Set(['begin', 'start', 'savepoint', 'xa'])
/** Functions and assignments that change the session within such a statement, what MySQL executes of a comment, and a second statement after it. */
const CHANGES = /set_config|advisory|get_lock|:=|dblink_connect|lo_\w+|\/\*M?!|;\s*\S/i
/** What they put into something is in a table that stays; others put rows into variables, and into tables that are the session's. */
const PUTTING = new Set(['insert', 'replace', 'merge'])

const MOST_KNOWN = 1000
/** Of a longer text, which was made for this one time, nothing is kept. */
const LONGEST_KNOWN = 10_000

export interface Effect {
  /** The session may be another after it. */
  changesSession: boolean
  /** A transaction may be open after it. */
  beginsTransaction: boolean
  /** None is, if it succeeds. */
  endsTransaction: boolean
}

const known = new Map<string, Effect>()

export function effectOf (sql: unknown): Effect {
  if (typeof sql !== 'string') return { changesSession: true, beginsTransaction: true, endsTransaction: false }
  let effect = known.get(sql)
  if (effect === undefined) {
    effect = readEffect(sql)
    if (known.size >= MOST_KNOWN) known.clear()
    if (sql.length <= LONGEST_KNOWN) known.set(sql, effect)
  }
  return effect
}

function readEffect (sql: string): Effect {
  const word = LEADING.exec(sql)?.[1]?.toLowerCase() ?? ''
  const isTheOnly = !/;\s*\S/.test(sql)
  const isEnd = word === 'commit' || word === 'abort' || word === 'end' || (word === 'rollback' && !/^[\s\S]*\bto\b/i.test(sql))
  return {
    changesSession: !PLAIN.has(word) || CHANGES.test(sql) || (!PUTTING.has(word) && /\binto\b/i.test(sql)),
    beginsTransaction: BEGINS.has(word) || !isTheOnly,
    endsTransaction: isEnd && isTheOnly && !/\bchain\b/i.test(sql)
  }
}

const LONGEST_SHAPE = 500
/** Comments; names in backquotes; strings of all kinds, and numbers. What has no end goes to the end. */
const PARTS = /(?<comment>--[^\n]*|#(?![>-])[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<name>`[^`]*(?:`|$))|(?<![\w$])\$(\w*)\$[\s\S]*?(?:\$\3\$|$)|[a-z]?'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|(?<![\w$])\d[\w.]*/gi
const LISTS = /\(\s*\?(?:\s*,\s*\?)+\s*\)/g

/** The statement without what is of one call: literals are `?`, whatever is in quotes with them, and there are no comments. */
export function shapeOf (sql: unknown): string {
  if (typeof sql !== 'string') return 'a statement of no text'
  const text = sql.slice(0, LONGEST_SHAPE * 20)
  let shape = ''
  let end = 0
  for (const { 0: part, index, groups } of text.matchAll(PARTS)) {
    const { comment, name } = groups!
    shape += text.slice(end, index)
    end = index + part.length
    if (isDoubtful(part, comment, name)) {
      shape += '…'
      end = text.length
      break
    }
    shape += comment !== undefined ? ' ' : name ?? '?'
  }
  shape = (shape + text.slice(end)).replace(/\s+/g, ' ').replace(LISTS, '(?, …)').trim()
  return shape.length > LONGEST_SHAPE ? `${shape.slice(0, LONGEST_SHAPE - 1)}…` : shape
}

/**
 * Whether another server, or another setting of it, would see the end of it somewhere else, and a literal in what comes after: by a
 * backslash before a quote, by a comment within a comment, by what is a comment for one and an operator for another.
 */
function isDoubtful (part: string, comment: string | undefined, name: string | undefined): boolean {
  if (name !== undefined) return !/^`[\w$ .-]*`$/.test(name)
  if (comment === undefined) return /\\['"]/.test(part)
  if (comment.startsWith('/*')) return comment.indexOf('/*', 2) >= 0
  return !/^--(?:\s|$)/.test(comment) && /['"`$]/.test(comment)
}
