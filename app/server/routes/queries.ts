import { open, stat } from 'node:fs/promises';
import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';
import { asOfInput } from '#catalog/query/as-of.ts';
import { parseInput } from '#catalog/services/parse-input.ts';
import { requireCaller } from '../caller.ts';
import { json, noContent, readJson } from '../http-message.ts';
import type { Call, Route } from '../route.ts';

const submission = z.strictObject({
  sql: z.string().min(1, 'is empty'),
  parameters: z.record(z.string(), z.unknown()).optional(),
  asOf: asOfInput.optional(),
});

const page = z.strictObject({
  offset: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(10_000).default(1000),
});

const formats = {
  csv: 'text/csv; charset=utf-8',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  parquet: 'application/vnd.apache.parquet',
  json: 'application/json; charset=utf-8',
} as const;

export const queryRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/api/v1/queries',
    async handle({ request, caller, deps }) {
      const who = requireCaller(caller);
      const { sql, parameters, asOf } = parseInput(submission, await readJson(request, 4 << 20));
      const { id } = await deps.queries.submit(
        {
          sql,
          ...(parameters === undefined ? {} : { parameters }),
          ...(asOf === undefined ? {} : { asOf }),
          origin: caller.by === 'session' ? 'browser' : 'api',
        },
        who,
      );
      return json({ id }, 201, { location: `/api/v1/queries/${id}` });
    },
  },
  {
    method: 'GET',
    path: '/api/v1/queries/:id',
    async handle({ caller, deps, params }) {
      const query = await deps.queries.get(params.id ?? '', requireCaller(caller));
      const { error, ...known } = query;
      return json(error === null ? known : query);
    },
  },
  {
    method: 'GET',
    path: '/api/v1/queries/:id/rows',
    async handle({ caller, deps, params, url }) {
      const { offset, limit } = parseInput(page, Object.fromEntries(url.searchParams));
      return json({ rows: await deps.queries.rows(params.id ?? '', requireCaller(caller), offset, limit) });
    },
  },
  {
    method: 'DELETE',
    path: '/api/v1/queries/:id',
    async handle({ caller, deps, params }) {
      await deps.queries.cancel(params.id ?? '', requireCaller(caller));
      return noContent();
    },
  },
  ...(Object.keys(formats) as (keyof typeof formats)[]).map(
    (format): Route => ({
      method: 'GET',
      path: `/api/v1/queries/:id/result.${format}`,
      handle: (call) => result(call, format),
    }),
  ),
];

async function result({ caller, deps, params, request }: Call, format: keyof typeof formats): Promise<Response> {
  const path = await deps.queries.resultFile(params.id ?? '', requireCaller(caller), format);
  const headers = {
    'content-type': formats[format],
    'content-disposition': `attachment; filename="result.${format}"`,
    'cache-control': 'private, no-store',
  };
  if (request.method === 'HEAD')
    return new Response(null, { headers: { ...headers, 'content-length': String((await stat(path)).size) } });
  // The file is opened before its size is told: what is kept no longer cannot vanish in between.
  const file = await open(path).catch((cause) => {
    throw new DailiesError('not_found', 'The result is not kept any more: run the query again.', { cause });
  });
  const { size } = await file.stat();
  return new Response(file.readableWebStream({ autoClose: true }) as ReadableStream<Uint8Array>, {
    headers: { ...headers, 'content-length': String(size) },
  });
}
