/** What gives each answer to the command that waits for it; not a part of what ioredis documents. */
interface AnswerHandler {
  shiftCommand? (reply: unknown): unknown
}

const mended = new WeakSet<AnswerHandler>()

/**
 * Of an answer that nobody has asked for, ioredis 6 makes an 'error' event with the answer in its message. When that is null, making the
 * message throws where nobody can catch it, which ends the process; now the message has the word instead.
 */
export function outliveStrayNulls ({ prototype }: { prototype: object }): void {
  const handler = prototype as AnswerHandler
  const { shiftCommand } = handler
  if (shiftCommand === undefined || mended.has(handler)) return
  mended.add(handler)
  handler.shiftCommand = function (reply) {
    return shiftCommand.call(this, reply ?? 'null')
  }
}
