import { NO, YES } from './models.ts'

/** The shared objects that a recording is about, as one process has them. */
export interface Subject<Input> {
  /** While nobody uses them: as they were when they were made. */
  reset (): unknown
  /** Whether this can be done now; what cannot is left out. */
  isDue (input: Input): boolean
  perform (input: Input): number | Promise<number>
}

export const always = () => true

export const said = (answer: boolean) => answer ? YES : NO

/**
 * The text that stands for a number below a thousand. Texts have many lengths, and a part of one and a part of another
 * make none.
 */
export const textOf = (number: number) => number === 0 ? '' : `${number}:`.padEnd(8 + number * 5, String.fromCharCode(97 + number % 26))

/** NaN for what is no such text. */
export function numberOf (text: string): number {
  const number = Number.parseInt(text || '0')
  return text === textOf(number) ? number : NaN
}
