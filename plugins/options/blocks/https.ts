import { protocolsSchema } from '../protocols.ts'
import { portSchema } from './port.ts'

/** TLS: a second port, with its certificate. */
export const https = {
  type: 'object',
  description: 'TLS: a second port, with its certificate.',
  additionalProperties: false,
  properties: {
    enabled: {
      type: 'boolean',
      description: 'Listen with TLS on https.port.',
      default: false
    },
    port: {
      ...portSchema,
      description: 'Port to listen on with TLS; 0 takes a free one.',
      default: 9502
    },
    cert: {
      type: ['string', 'null'],
      minLength: 1,
      description: 'PEM file of the certificate and its chain, relative to the project.',
      default: null
    },
    key: {
      type: ['string', 'null'],
      minLength: 1,
      description: 'PEM file of the private key, relative to the project.',
      default: null
    },
    ca: {
      type: ['string', 'null'],
      minLength: 1,
      description: 'PEM file of the authorities that a client certificate must come from, relative to the project; null is those Node knows.',
      default: null
    },
    verifyPeer: {
      type: 'boolean',
      description: 'Ask clients for a certificate, and refuse those without a valid one.',
      default: false
    },
    protocols: {
      ...protocolsSchema,
      description: 'Versions of TLS to speak; null is both.',
      default: null
    }
  }
} as const
