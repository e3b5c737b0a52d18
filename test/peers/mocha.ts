import { test } from 'node:test'

/* As much of mocha as memorystore's tests need. */
type Body = (this: object, done: (error?: unknown) => void) => void

let after: (this: object) => void = () => {}

Object.assign(globalThis, {
  describe: (_name: string, body: () => void) => body(),
  afterEach: (body: typeof after) => { after = body },
  it: (name: string, body: Body) => test(name, (_test, done) => {
    const context = {}
    body.call(context, (error) => {
      after.call(context)
      done(error)
    })
  })
})
