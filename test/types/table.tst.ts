import { expect, test } from 'tstyche'
import type { FastifyInstance } from 'fastify'
import { bytes, float, int, long, string } from '../../plugins/swoole.ts'

declare const fastify: FastifyInstance
const users = fastify.table('users', { rows: 10, columns: { name: string(10), visits: int(), score: float(), total: long(), picture: bytes(100) } })

interface User {
  name: string
  visits: number
  score: number
  total: bigint
  picture: Uint8Array
}

test('rows have the types of their columns', () => {
  expect(users.get('a')!.name).type.toBe<string>()
  expect(users.get('a')).type.toBeAssignableTo<User | undefined>()
  expect(users.get('a')!).type.toBeAssignableFrom<User>()
  expect(users.get('a', 'total')).type.toBe<bigint | undefined>()
  expect(users.incr('a', 'visits')).type.toBe<number>()
  expect(users.incr('a', 'total', 1n)).type.toBe<bigint>()
  expect(users.has('a')).type.toBe<boolean>()
  expect(users.count).type.toBe<number>()
})

test('what is no column, or of another type, does not compile', () => {
  expect(users.set).type.toBeCallableWith('a', { visits: 1 })
  expect(users.set).type.not.toBeCallableWith('a', { visits: '1' })
  expect(users.set).type.not.toBeCallableWith('a', { other: 1 })
  expect(users.get).type.not.toBeCallableWith('a', 'other')
  expect(users.set).type.not.toBeCallableWith(1, {})
})
