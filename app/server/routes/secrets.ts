import { z } from 'zod';
import { parseInput } from '#catalog/services/parse-input.ts';
import { listSecrets } from '#catalog/services/secret/list.ts';
import { removeSecret } from '#catalog/services/secret/remove.ts';
import { setSecret } from '#catalog/services/secret/set.ts';
import { json, noContent, readJson } from '../http-message.ts';
import { type Route, scopeOf } from '../route.ts';

const body = z.strictObject({ value: z.string() });

export const secretRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/secrets',
    handle: async (call) => json({ secrets: await listSecrets(scopeOf(call)) }),
  },
  {
    method: 'PUT',
    path: '/api/v1/secrets/:name',
    async handle(call) {
      const { value } = parseInput(body, await readJson(call.request));
      await setSecret({ ...scopeOf(call), secretKey: call.deps.secretKey }, { name: call.params.name, value });
      return noContent();
    },
  },
  {
    method: 'DELETE',
    path: '/api/v1/secrets/:name',
    async handle(call) {
      await removeSecret(scopeOf(call), call.params.name ?? '');
      return noContent();
    },
  },
];
