import { AsyncLocalStorage } from 'node:async_hooks'
import { IncomingMessage, ServerResponse, createServer } from 'node:http'
import type { RequestListener, Server } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Readable, finished } from 'node:stream'
import t from 'tap'
import { front } from '../../plugins/front/index.ts'

/* What a handler does, and is told, with requests and responses of the front and of node:http: the same, and the same bytes go to the client. */

type Log = (...what: unknown[]) => void
type Handler = (request: IncomingMessage, response: ServerResponse, log: Log) => unknown

interface Scenario {
  handler: Handler
  /** What the client sends; one GET by default. */
  send?: string
  /** What the client does when so many bytes have come, or at once. */
  then?: (socket: Socket) => void
}

const GET = 'GET /path?a=b HTTP/1.1\r\nHost: a\r\nX-Mixed: Case\r\n\r\n'
const HEAD = GET.replace('GET', 'HEAD')
const POST = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello'
const LAST = 'GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

const say = (response: ServerResponse, text = 'ok') => response.writeHead(200, { 'content-type': 'text/plain', 'content-length': Buffer.byteLength(text) }).end(text)

const stateOf = (response: ServerResponse) => {
  const { statusCode, statusMessage, headersSent, writableEnded, writableFinished, finished: isFinished, destroyed, closed, errored, writableCorked, writableNeedDrain, writableObjectMode, writable, shouldKeepAlive, chunkedEncoding, sendDate, strictContentLength } = response as ServerResponse & { closed: boolean, errored: unknown, writableNeedDrain: boolean }
  return { statusCode, statusMessage, headersSent, writableEnded, writableFinished, isFinished, destroyed, closed, errored, writableCorked, writableNeedDrain, writableObjectMode, writable, shouldKeepAlive, chunkedEncoding, sendDate, strictContentLength, hasSocket: response.socket !== null, hasConnection: response.connection !== null }
}

const requestStateOf = (request: IncomingMessage) => {
  const { aborted, complete, destroyed, method, url, httpVersion, httpVersionMajor, httpVersionMinor, statusCode, statusMessage, headers, rawHeaders, headersDistinct, trailers, rawTrailers, trailersDistinct, readable, readableEnded, readableFlowing, readableAborted, readableDidRead, readableObjectMode, closed, errored } = request
  return { aborted, complete, destroyed, method, url, httpVersion, httpVersionMajor, httpVersionMinor, statusCode, statusMessage, headers, rawHeaders, headersDistinct, trailers, rawTrailers, trailersDistinct, readable, readableEnded, readableFlowing, readableAborted, readableDidRead, readableObjectMode, closed, errored }
}

function listen (emitter: NodeJS.EventEmitter, name: string, log: Log, events: string[]): void {
  for (const event of events) emitter.on(event, (...given) => log(name, event, given.map((value) => value instanceof Error ? (value as NodeJS.ErrnoException).code ?? value.message : typeof value)))
}
const listenToAll = (request: IncomingMessage, response: ServerResponse, log: Log) => {
  listen(request, 'request', log, ['aborted', 'close', 'end', 'error'])
  listen(response, 'response', log, ['close', 'finish', 'prefinish', 'error', 'drain', 'pipe', 'unpipe'])
}

const caught = (log: Log, what: string, fn: () => unknown) => {
  try {
    const result = fn()
    log(what, typeof result)
  } catch (error) {
    log(what, 'throws', (error as NodeJS.ErrnoException).code, (error as Error).message)
  }
}

const context = new AsyncLocalStorage<string>()

const scenarios: Record<string, Scenario> = {
  'a head and an end': { handler: (_request, response) => say(response) },
  'an end alone': { handler: (_request, response) => response.end('ok') },
  'an end without anything': { handler: (_request, response) => response.end() },
  bytes: { handler: (_request, response) => response.writeHead(200, { 'content-length': 3 }).end(Buffer.from([1, 2, 255])) },
  'a Uint8Array': { handler: (_request, response) => response.writeHead(200, { 'content-length': 3 }).end(new Uint8Array([1, 2, 255])) },
  'text that is no ASCII': { handler: (_request, response) => say(response, 'ä😀') },
  'text in latin1': { handler: (_request, response) => response.writeHead(200, { 'content-length': 1 }).end('ä', 'latin1') },
  'a head of several headers and cookies': { handler: (_request, response) => response.writeHead(200, { 'set-cookie': ['a=1', 'b=2'], 'x-a': ['1', '2'], 'X-Case': 'Kept', 'content-length': '2' }).end('ok') },
  'only cookies as a list': { handler: (_request, response) => response.writeHead(200, { 'set-cookie': ['a=1', 'b=2'], 'content-length': '2' }).end('ok') },
  'a head with a reason': { handler: (_request, response) => response.writeHead(299, 'Quite', { 'content-length': 2 }).end('ok') },
  'a status that nobody knows': { handler: (_request, response) => response.writeHead(299, { 'content-length': 2 }).end('ok') },
  'a head of a list': { handler: (_request, response) => response.writeHead(200, ['content-length', '2', 'x-a', '1', 'x-a', '2']).end('ok') },
  'headers set before the head': { handler: (_request, response) => response.setHeader('x-a', '1').writeHead(200, { 'x-b': '2', 'content-length': 2 }).end('ok') },
  'headers appended and removed': {
    handler: (_request, response, log) => {
      response.appendHeader('x-a', '1').appendHeader('x-a', '2').setHeader('x-b', 3)
      response.removeHeader('x-b')
      log(response.getHeader('X-A'), response.hasHeader('x-a'), response.getHeaderNames(), (response as never as { getRawHeaderNames (): string[] }).getRawHeaderNames(), { ...response.getHeaders() })
      response.end('ok')
    }
  },
  'nothing set': { handler: (_request, response, log) => { log(response.getHeader('x'), response.hasHeader('x'), response.getHeaderNames(), { ...response.getHeaders() }, (response as never as { getRawHeaderNames (): string[] }).getRawHeaderNames()); response.removeHeader('x'); say(response) } },
  'the date removed': { handler: (_request, response) => { response.removeHeader('date'); say(response) } },
  'the date not sent': { handler: (_request, response) => { response.sendDate = false; say(response) } },
  'the connection closed by a header': { handler: (_request, response) => response.writeHead(200, { connection: 'close', 'content-length': 2 }).end('ok') },
  'the connection closed by a field': { handler: (_request, response) => { response.shouldKeepAlive = false; say(response) } },
  chunks: { handler: async (_request, response) => { response.write('one'); await sleep(5); response.write('two'); response.end('three') } },
  'chunks after a head': { handler: async (_request, response) => { response.writeHead(200, { 'content-type': 'x/y' }); response.write('one'); await sleep(5); response.end('two') } },
  'a head without a length, and an end': { handler: (_request, response) => response.writeHead(200, { 'content-type': 'x/y' }).end('two') },
  'a length, and two writes': { handler: async (_request, response) => { response.writeHead(200, { 'content-length': 6 }); response.write('one'); await sleep(5); response.end('two') } },
  'corked writes': { handler: (_request, response) => { response.cork(); response.write('one'); response.write('two'); response.uncork(); response.end() } },
  trailers: { handler: (_request, response) => { response.writeHead(200, { trailer: 'x-t' }); response.write('one'); response.addTrailers({ 'x-t': 'u' }); response.end() } },
  'flushed headers': { handler: async (_request, response) => { response.flushHeaders(); await sleep(5); response.end('ok') } },
  'a stream': { handler: (_request, response) => Readable.from(['a', 'b', 'c']).pipe(response) },
  'early hints': { handler: (_request, response) => { response.writeEarlyHints({ link: '</a>; rel=preload' }); say(response) } },
  processing: { handler: (_request, response) => { response.writeProcessing(); say(response) } },
  'a 204': { handler: (_request, response) => response.writeHead(204, { 'x-a': '1' }).end() },
  'a 204 with a body': { handler: (_request, response) => response.writeHead(204, { 'content-length': 2 }).end('ok') },
  'a 304': { handler: (_request, response) => response.writeHead(304, { etag: '"x"' }).end() },
  'a 304 by statusCode': { handler: (_request, response) => { response.statusCode = 304; response.end() } },
  HEAD: { send: HEAD, handler: (_request, response) => say(response) },
  'HEAD without a length': { send: HEAD, handler: (_request, response) => response.writeHead(200, { 'x-a': '1' }).end('ok') },
  'HEAD by pieces': { send: HEAD, handler: (_request, response) => { response.write('a'); response.end('b') } },
  'too little for its length': { handler: (_request, response) => response.writeHead(200, { 'content-length': 5 }).end('ok'), then: (socket) => setTimeout(() => socket.end(), 50) },
  'a body': { send: POST, handler: async (request, response, log) => { request.setEncoding('utf8'); for await (const chunk of request) log(chunk); say(response) } },
  'a body by events': { send: POST, handler: (request, response, log) => { request.on('data', (chunk) => log(String(chunk))).on('end', () => { log('end', request.complete, request.readableEnded); say(response) }) } },
  'a body by read()': { send: POST, handler: (request, response, log) => { request.on('readable', () => log(String(request.read()))).on('end', () => say(response)) } },
  'a body that is piped back': { send: POST, handler: (request, response) => request.pipe(response) },
  'a body that nobody reads': { send: POST + GET, handler: (_request, response) => say(response) },
  'a body of chunks': { send: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: u\r\n\r\n', handler: (request, response, log) => { request.on('data', (chunk) => log(String(chunk))).on('end', () => { log(request.trailers, request.rawTrailers); say(response) }) } },
  'no body, read': { handler: (request, response, log) => { request.on('data', log).on('end', () => { log('end'); say(response) }) } },
  'no body, awaited': { handler: async (request, response, log) => { for await (const chunk of request) log(chunk); say(response) } },
  'all events of a request and a response': { send: GET, handler: (request, response, log) => { listenToAll(request, response, log); say(response) } },
  'all events with a body': { send: POST, handler: (request, response, log) => { listenToAll(request, response, log); request.resume(); say(response) } },
  'all events with chunks': { handler: (request, response, log) => { listenToAll(request, response, log); response.write('a'); response.end('b') } },
  'all events when the answer comes later': { handler: async (request, response, log) => { listenToAll(request, response, log); await sleep(10); say(response) } },
  'call-backs': { handler: (_request, response, log) => { response.write('a', () => log('written')); response.end('b', () => log('ended')) } },
  'the call-back of an end': { handler: (_request, response, log) => { response.writeHead(200, { 'content-length': 2 }).end('ok', () => log('ended')) } },
  'what a request is': { handler: (request, response, log) => { log(request instanceof IncomingMessage, request instanceof Readable, request.constructor === IncomingMessage, requestStateOf(request)); say(response) } },
  'what a request with a body is': { send: POST, handler: (request, response, log) => { log(request instanceof IncomingMessage, requestStateOf(request)); say(response) } },
  'what a request is afterwards': { handler: (request, response, log) => { response.on('close', () => log(requestStateOf(request))); say(response) } },
  'what a response is': {
    handler: (_request, response, log) => {
      log(response instanceof ServerResponse, response.constructor === ServerResponse, response.req.url, stateOf(response))
      response.writeHead(200, { 'content-length': 2 })
      log(stateOf(response))
      response.end('ok')
      log(stateOf(response))
      response.on('finish', () => log('finish', stateOf(response)))
      response.on('close', () => log('close', stateOf(response)))
    }
  },
  'what a response by setHeader is': { handler: (_request, response, log) => { log(stateOf(response.setHeader('x', 'y'))); response.end('ok'); log(stateOf(response)); response.on('close', () => log('close', stateOf(response))) } },
  'header maps that are changed': { handler: (request, response, log) => { request.headers.added = 'x'; delete request.headers.host; request.rawHeaders.push('q'); log(request.headers, request.rawHeaders); request.headers = { a: 'b' }; request.url = '/other'; request.method = 'PUT'; log(request.headers, request.url, request.method); say(response) }, send: GET + GET },
  'properties of one\'s own': { handler: (request, response, log) => { Object.assign(request, { body: 1, params: 2, id: 3 }); Object.assign(response, { locals: {} }); log(Object.keys({ ...request }).filter((key) => ['body', 'params', 'id'].includes(key))); request.resume(); log((request as never as { id: number }).id); say(response) } },
  'middleware that wraps the response': {
    handler: (_request, response, log) => {
      const { writeHead, end } = response
      response.writeHead = function (this: ServerResponse, ...given: never[]) { log('head', given.length); this.setHeader('x-wrapped', '1'); return (writeHead as never as (...given: never[]) => ServerResponse).apply(this, given) } as never
      response.end = function (this: ServerResponse, ...given: never[]) { log('end', given.length); return (end as never as (...given: never[]) => ServerResponse).apply(this, given) } as never
      say(response)
    }
  },
  'finished() of streams': { handler: (request, response, log) => { finished(response, (error) => log('response', error?.message)); finished(request, (error) => log('request', error?.message)); request.resume(); say(response) } },
  'errors of heads and headers': {
    handler: (_request, response, log) => {
      caught(log, 'a name', () => response.setHeader('a b', 'x'))
      caught(log, 'a value', () => response.setHeader('a', 'x\r\ny: z'))
      caught(log, 'no value', () => response.setHeader('a', undefined as never))
      caught(log, 'head: a name', () => response.writeHead(200, { 'a b': 'x', 'content-length': 2 }))
      caught(log, 'head: a value', () => response.writeHead(200, { a: 'x\r\ny: z', 'content-length': 2 }))
      caught(log, 'head: no value', () => response.writeHead(200, { a: undefined as never, 'content-length': 2 }))
      caught(log, 'a status', () => response.writeHead(99, {}))
      caught(log, 'a status that is none', () => response.writeHead('x' as never, {}))
      caught(log, 'a chunk', () => response.end(5 as never))
      response.end('ok')
    }
  },
  'too late for headers': { handler: (_request, response, log) => { response.writeHead(200, { 'content-length': 2 }); caught(log, 'set', () => response.setHeader('a', 'b')); caught(log, 'head', () => response.writeHead(200, {})); caught(log, 'remove', () => response.removeHeader('a')); caught(log, 'hints', () => response.writeContinue()); response.end('ok'); caught(log, 'set', () => response.setHeader('a', 'b')); caught(log, 'head', () => response.writeHead(200, { 'content-length': 2 })) } },
  'a write after the end': { handler: (_request, response, log) => { response.on('error', (error: NodeJS.ErrnoException) => log('error', error.code)); say(response); log(response.write('more', (error) => log('call-back', (error as NodeJS.ErrnoException).code))) } },
  'a second end': { handler: (_request, response, log) => { response.on('error', (error: NodeJS.ErrnoException) => log('error', error.code)); say(response); response.end(); response.end('x', () => log('call-back')) } },
  'a response that is destroyed': { handler: (request, response, log) => { listenToAll(request, response, log); response.destroy(); log(stateOf(response)); response.end('x') } },
  'a response that is destroyed after its head': { handler: (request, response, log) => { listenToAll(request, response, log); response.writeHead(200, { 'content-length': 5 }); response.write('ab'); response.destroy() } },
  'a request that is destroyed': { handler: (request, response, log) => { listenToAll(request, response, log); request.destroy() } },
  'a client that goes': { handler: (request, response, log) => { listenToAll(request, response, log) }, then: (socket) => setTimeout(() => socket.destroy(), 20) },
  'a client that goes while it is answered': { handler: (request, response, log) => { listenToAll(request, response, log); response.write('a') }, then: (socket) => socket.once('data', () => socket.destroy()) },
  'a client that goes, and nobody listens': { handler: (request, response, log) => { setTimeout(() => log(request.aborted, request.destroyed, response.destroyed, response.closed, stateOf(response)), 60) }, then: (socket) => setTimeout(() => socket.destroy(), 20) },
  'a client that half closes': { handler: async (request, response, log) => { listenToAll(request, response, log); await sleep(30); say(response) }, then: (socket) => socket.end() },
  'pipelined requests': { send: GET + POST + GET + LAST, handler: async (request, response, log) => { log(request.url); await sleep(3); say(response, request.url) } },
  'pipelined requests of many kinds': { send: GET + 'POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n' + GET + LAST, handler: (request, response, log) => { log(request.url); request.resume(); say(response, request.url) } },
  'HTTP/1.0': { send: 'GET / HTTP/1.0\r\n\r\n', handler: (_request, response) => say(response) },
  'HTTP/1.0 that stays': { send: 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', handler: (_request, response) => say(response) },
  Expect: { send: 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab', handler: (request, response) => { request.resume(); say(response) } },
  'no host': { send: 'GET / HTTP/1.1\r\n\r\n', handler: (_request, response) => say(response) },
  nonsense: { send: 'nonsense\r\n\r\n', handler: (_request, response) => say(response) },
  'half of a request': { send: 'GET / HTTP/1.1\r\nHos', handler: (_request, response) => say(response), then: (socket) => setTimeout(() => socket.end(), 60) },
  'the socket': { handler: (request, response, log) => { const { socket } = request; log(socket === response.socket, socket.remoteAddress, (socket as never as { encrypted: unknown }).encrypted, request.connection === socket, typeof (socket as never as { server: unknown }).server, (socket as never as { _httpMessage: unknown })._httpMessage === response); say(response) } },
  'a time-out of a response': { handler: (_request, response, log) => { response.setTimeout(30, () => { log('timeout'); say(response) }) } },
  'a time-out of a request': { handler: (request, response, log) => { request.setTimeout(30, () => { log('timeout'); say(response) }) } },
  'a large answer': { handler: (_request, response) => say(response, 'x'.repeat(3_000_000)) },
  'a large answer by pieces, with back-pressure': { handler: (request, response, log) => { listenToAll(request, response, () => {}); let n = 0; const more = () => { while (n++ < 40) if (!response.write('y'.repeat(100_000))) return response.once('drain', more); log('all'); response.end() }; more() } },
  'listeners that are taken off': { handler: (request, response, log) => { const on = () => log('never'); response.on('finish', on).off('finish', on); request.on('close', on).off('close', on); say(response) } },
  'content-disposition': { handler: (_request, response) => response.writeHead(200, { 'content-disposition': 'attachment; filename="ä.txt"', 'content-length': 2 }).end('ok') },
  'numbers and other values': { handler: (_request, response) => response.writeHead(200, { 'x-n': 5, 'content-length': '2', 'x-e': '' }).end('ok') },
  'a last answer by pieces': { send: LAST, handler: async (_request, response) => { response.writeHead(200, { 'content-length': 6 }); response.write('one'); await sleep(5); response.end('two') } },
  'a last answer': { send: LAST, handler: (_request, response, log) => { log(stateOf(response)); say(response) } },
  'a HEAD whose method somebody changes': { send: HEAD + GET, handler: (request, response) => { request.method = 'GET'; say(response) } },
  'a GET whose method somebody changes': { send: GET + GET, handler: (request, response) => { request.method = 'HEAD'; say(response) } },
  'a HEAD whose method somebody changes, by pieces': { send: HEAD + GET, handler: (request, response) => { request.method = 'GET'; response.setHeader('content-length', 2); response.write('o'); response.end('k') } },
  'a status that is changed after the head': { handler: (_request, response) => { response.writeHead(200, { 'content-length': 2 }); response.statusCode = 204; response.end('ok') } },
  'a length in characters': { handler: (_request, response) => response.writeHead(200, { 'content-length': 2 }).end('äö') },
  'a length that is made sure of after the head': { handler: (_request, response, log) => { response.writeHead(200, { 'content-length': 5 }); response.strictContentLength = true; caught(log, 'end', () => response.end('ok')); response.strictContentLength = false; response.end('hello') } },
  'a length set as node:http does': { handler: (_request, response) => { Object.assign(response, { _contentLength: 2 }); response.writeHead(200, { 'content-type': 'x/y' }).end('ok') } },
  'no chunks by a field': { handler: (_request, response) => { response.useChunkedEncodingByDefault = false; response.writeHead(200, { 'content-type': 'x/y' }).end('ok') } },
  'a second end, with a call-back': { handler: (_request, response, log) => { say(response); response.end((error?: Error) => log('call-back', (error as NodeJS.ErrnoException | undefined)?.code ?? null)) } },
  'an end after all, with a call-back': { handler: async (_request, response, log) => { say(response); await sleep(10); response.end((error?: Error) => log('call-back', (error as NodeJS.ErrnoException | undefined)?.code ?? null)) } },
  'a response that is destroyed after its end': { handler: (_request, response, log) => { say(response); response.destroy(); log(stateOf(response)) } },
  'the signal of a request': { send: GET + GET + LAST, handler: async (request, response, log) => { const { signal } = request; await sleep(5); say(response); response.on('close', () => setTimeout(() => log(signal?.aborted, request.signal === signal), 20)) } },
  'the signal of a request whose client goes': { handler: (request, _response, log) => { request.signal?.addEventListener('abort', () => log('abort')) }, then: (socket) => setTimeout(() => socket.destroy(), 20) },
  'signals leave nothing on the connection': {
    handler: (request, response, log) => {
      const { signal } = request
      say(response)
      response.on('close', () => log(signal?.aborted, request.socket.listenerCount('close') < 6))
    },
    then: (socket) => {
      let n = 0
      socket.on('data', () => n++ < 15 && socket.write(GET))
    }
  },
  'a response after its client has gone': { handler: async (request, response, log) => { request.socket.destroy(); await sleep(10); log(stateOf(response)); caught(log, 'set', () => response.setHeader('a', 'b')); caught(log, 'write', () => response.write('x', (error) => log('written', (error as NodeJS.ErrnoException).code))); caught(log, 'end', () => response.end('x')); log(stateOf(response)) } },
  'an end after the client has gone': { handler: async (request, response, log) => { request.socket.destroy(); await sleep(10); say(response); await sleep(5); log(stateOf(response)) } },
  'drains are counted': { handler: (_request, response, log) => { let n = 0; response.on('drain', () => log('drain')); const more = () => { while (n++ < 6) if (!response.write('y'.repeat(200_000))) return response.once('drain', more); response.end() }; more() } },
  'prototypes of Express': {
    handler: (request, response, log) => {
      request.headers.added = 'x'
      const ofRequest = Object.create(IncomingMessage.prototype, { hello: { value: 1 } })
      const ofResponse = Object.create(ServerResponse.prototype, { send: { value (this: ServerResponse, text: string) { this.setHeader('x-a', 'b'); this.end(text) } } })
      Object.assign(request, { res: response })
      Object.setPrototypeOf(request, ofRequest)
      Object.setPrototypeOf(response, ofResponse)
      log((request as never as { hello: number }).hello, request.url, request.headers, request.rawHeaders, request.httpVersion)
      ;(response as never as { send (text: string): void }).send('ok')
    }
  },
  'prototypes of Express, of a request that somebody follows': {
    send: GET + GET + LAST,
    handler: (request, response, log) => {
      const { signal } = request
      request.on('close', () => log('close', signal?.aborted))
      Object.assign(request, { res: response })
      Object.setPrototypeOf(request, Object.create(IncomingMessage.prototype))
      Object.setPrototypeOf(response, Object.create(ServerResponse.prototype))
      response.end('ok')
    }
  },
  'the prototype of a response': { send: GET + LAST, handler: (_request, response) => { Object.setPrototypeOf(response, Object.create(ServerResponse.prototype)); response.end('ok') } },
  'what has come behind a slow request': { send: 'GET /1 HTT', handler: async (request, response, log) => { log(request.url); await sleep(60); say(response) }, then: (socket) => setTimeout(() => socket.write('P/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n'), 5) },
  'a client that half closes, and an answer that goes nowhere': { send: GET, handler: async (request, response, log) => { request.socket.on('error', (error) => log('error', error.message)); (request.socket as never as { server: Server }).server.on('clientError', (error: Error) => log('clientError', error.message)); await sleep(30); say(response); await sleep(20); log(stateOf(response)) }, then: (socket) => socket.end() },
  'a client that ends with its request': { handler: (request, response, log) => { const { signal } = request; listen(request, 'request', log, ['aborted', 'close', 'error']); say(response); setTimeout(() => log(signal?.aborted, request.aborted, stateOf(response)), 20) }, then: (socket) => socket.end() },
  'requests of a client that has closed its side, with answers to which somebody listens': { send: GET + GET + GET, handler: (request, response, log) => { log(request.url); response.on('finish', () => {}); say(response) }, then: (socket) => socket.end() },
  'a client that resets when it has its answer': {
    handler: (request, response, log) => { const { signal } = request; say(response); setTimeout(() => log(signal?.aborted, request.aborted, stateOf(response)), 20) },
    then: (socket) => socket.once('data', () => socket.resetAndDestroy())
  },
  'a connection that is destroyed behind its answer': { handler: (request, response, log) => { say(response); setImmediate(() => { request.socket.destroy(); setTimeout(() => log(request.aborted, stateOf(response)), 10) }) } },
  'listeners of a request, in its context': { handler: (request, response, log) => context.run('of the request', () => { request.on('close', () => log('close', context.getStore())); setImmediate(() => log('immediate')); say(response) }) },
  'idle connections are closed while a handler runs': {
    send: GET + GET + GET,
    handler: (request, response, log) => { context.enterWith('of the last'); log(request.url); say(response); (request.socket as never as { server: Server }).server.closeIdleConnections() }
  },
  'what a handler enters is not for the next request': { send: GET + GET, handler: (_request, response, log) => { log(context.getStore()); context.enterWith('of the last'); say(response); response.on('finish', () => {}) } },
  'a write of the socket that is one\'s own': {
    handler: (request, response, log) => {
      const { socket } = request
      const { write } = socket
      let isSeen = false
      socket.write = (...given: unknown[]) => { isSeen = true; return write.apply(socket, given as never) }
      say(response)
      setImmediate(() => log(isSeen))
    }
  },
  'a length of another case': { handler: (_request, response) => response.writeHead(200, { 'Content-Length': 2, 'X-A': '1' }).end('ok') }
}

/** Bytes without what the time determines. */
const normalised = (bytes: string) => bytes.replace(/Date: [^\r]*/gi, 'Date: …')

async function play ({ handler, send = GET, then }: Scenario, serverOf: (listener: RequestListener) => Server) {
  const log: string[] = []
  const server = serverOf((request, response) => {
    handler(request, response, (...what) => { log.push(JSON.stringify(what)) })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  let bytes = ''
  socket.setEncoding('latin1')
  socket.on('data', (chunk) => { bytes += chunk })
  socket.on('error', () => {})
  socket.write(send)
  then?.(socket)
  // Until nothing has come or happened for a while.
  for (let last = '', quiet = 0; quiet < 3;) {
    await sleep(30)
    const now = bytes.length + log.join()
    quiet = now === last ? quiet + 1 : 0
    last = now
  }
  const outcome = { bytes: normalised(bytes), log: [...log], isOpen: !socket.destroyed }
  socket.destroy()
  server.closeAllConnections()
  server.close()
  return outcome
}

t.jobs = 4

for (const [name, scenario] of Object.entries(scenarios)) {
  t.test(name, async (t) => {
    const [byNode, byFront] = await Promise.all([play(scenario, (listener) => createServer(listener)), play(scenario, (listener) => front()(listener))])
    t.equal(byFront.bytes, byNode.bytes, 'the same bytes')
    t.strictSame(byFront.log, byNode.log, 'the same is told')
    t.equal(byFront.isOpen, byNode.isOpen, 'the connection stays or goes')
  })
}
