import type { FastifyRequest } from 'fastify'

/** For functions in the configuration of a route, where Fastify's types do not tell what its requests are like. */
export type AnyRequest = Omit<FastifyRequest, 'params' | 'query' | 'body'> & { params: any, query: any, body: any }
