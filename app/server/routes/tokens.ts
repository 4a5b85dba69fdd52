import { z } from 'zod';
import { parseInput } from '#catalog/services/parse-input.ts';
import { createToken } from '#catalog/services/token/create.ts';
import { listTokens } from '#catalog/services/token/list.ts';
import { revokeToken } from '#catalog/services/token/revoke.ts';
import { json, noContent, readJson } from '../http-message.ts';
import { type Route, scopeOf } from '../route.ts';

const body = z.strictObject({ name: z.string(), role: z.string().optional() });

export const tokenRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/tokens',
    handle: async (call) => json({ tokens: await listTokens(scopeOf(call)) }),
  },
  {
    method: 'POST',
    path: '/api/v1/tokens',
    async handle(call) {
      const { name, role } = parseInput(body, await readJson(call.request));
      return json(await createToken(scopeOf(call), { name, ...(role === undefined ? {} : { role }) }), 201);
    },
  },
  {
    method: 'DELETE',
    path: '/api/v1/tokens/:id',
    async handle(call) {
      await revokeToken(scopeOf(call), call.params.id ?? '');
      return noContent();
    },
  },
];
