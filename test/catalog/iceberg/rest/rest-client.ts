import { parseJson } from '#catalog/iceberg/metadata/json.ts';

export interface RestAnswer {
  status: number;
  headers: Headers;
  text: string;
  // What a test expects of it, it says.
  // biome-ignore lint/suspicious/noExplicitAny: answers are of many shapes
  body: any;
}

export type Call = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<RestAnswer>;

/** Calls the catalog's endpoint at `uri`, paths from `/v1/` on, with a token. 64-bit ids are kept. */
export function restClient(uri: string, token: string): Call {
  return async (method, path, body, headers = {}) => {
    const response = await fetch(`${uri}/v1/${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body, (_key, item) => (typeof item === 'bigint' ? Number(item) : item)) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: text === '' ? null : parseJson(text) };
  };
}

/** The request that makes a table of one required and one optional column. */
export function creationOf(name: string, more: Record<string, unknown> = {}) {
  return {
    name,
    schema: {
      type: 'struct',
      'schema-id': 0,
      'identifier-field-ids': [1],
      fields: [
        { id: 1, name: 'id', required: true, type: 'long' },
        { id: 2, name: 'title', required: false, type: 'string', doc: 'What it is called' },
      ],
    },
    ...more,
  };
}

/** Updates that add a snapshot without files and show it on a branch. */
export function showing(id: number, branch = 'main', more: Record<string, unknown> = {}) {
  return [
    {
      action: 'add-snapshot',
      snapshot: {
        'snapshot-id': id,
        'sequence-number': id,
        'timestamp-ms': Date.now(),
        'manifest-list': `file:///none/${id}.avro`,
        summary: { operation: 'append', 'total-records': '0' },
        ...more,
      },
    },
    { action: 'set-snapshot-ref', 'ref-name': branch, type: 'branch', 'snapshot-id': id },
  ];
}
