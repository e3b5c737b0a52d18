import type { FastifyReply } from 'fastify'

export type Fields = Record<string, string>

/**
 * Where Fastify keeps the fields of a reply, found by where `reply.header` puts them. Names that are constant cost next to nothing there,
 * while that call lowers and looks up each. A Fastify in which they are not found is asked by that call.
 */
export class ReplyFields {
  #place: symbol | undefined
  #isSought = false

  /** To write to, with names in lower case; undefined: the fields are to be given to `set`. */
  of (reply: FastifyReply): Fields | undefined {
    return this.#place === undefined ? undefined : propertyOf(reply, this.#place)
  }

  set (reply: FastifyReply, fields: Fields): void {
    reply.headers(fields)
    if (this.#isSought) return
    this.#isSought = true
    const [[name, value]] = Object.entries(fields) as [[string, string]]
    this.#place = Object.getOwnPropertySymbols(reply).find((symbol) => propertyOf(reply, symbol)?.[name] === value)
  }
}

const propertyOf = (reply: FastifyReply, symbol: symbol): Fields | undefined => (reply as unknown as Record<symbol, Fields | undefined>)[symbol]
