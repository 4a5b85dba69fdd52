import { z } from 'zod';
import { requireAccess } from '#catalog/access/principal.ts';
import { DailiesError } from '#catalog/error.ts';
import { applyDefinition } from '#catalog/services/definition/apply.ts';
import { changeLines } from '#catalog/services/definition/diff.ts';
import type { DefinitionRequest } from '#catalog/services/definition/environment-references.ts';
import { definitionYaml, exportDefinition } from '#catalog/services/definition/export.ts';
import { parseInput } from '#catalog/services/parse-input.ts';
import { json, readText } from '../http-message.ts';
import { type Route, scopeOf } from '../route.ts';

/** How the command line sends its files, so that errors name file and line. */
const files = z.strictObject({
  files: z.array(z.strictObject({ name: z.string().max(1000), text: z.string() })).max(1000),
  secrets: z.record(z.string(), z.string()).default({}),
});

const flag = z.stringbool({ error: 'must be true or false' }).default(false);
const options = z.strictObject({ dryRun: flag, prune: flag });

const maxBytes = 16 << 20;

export const definitionRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/v1/definition',
    async handle(call) {
      const definition = await exportDefinition({ ...scopeOf(call), modules: call.deps.modules });
      if (!call.request.headers.get('accept')?.includes('yaml')) return json(definition);
      return new Response(definitionYaml(definition), {
        headers: { 'content-type': 'application/yaml; charset=utf-8', 'cache-control': 'no-store' },
      });
    },
  },
  {
    method: 'PUT',
    path: '/api/v1/definition',
    async handle(call) {
      const { deps } = call;
      const scope = scopeOf(call);
      requireAccess(scope.who, 'admin', 'apply a definition');
      const { dryRun, prune } = parseInput(options, Object.fromEntries(call.url.searchParams));
      const { request, mayHoldCredentials } = readRequest(await readText(call.request, maxBytes));
      const result = await applyDefinition(
        {
          ...scope,
          secretKey: deps.secretKey,
          modules: deps.modules,
          // What fills a report's tables may stand in the same file.
          describeSql: (sql) => deps.queries.describe(sql, { mayLackTables: true }),
        },
        request,
        { dryRun, prune, mayHoldCredentials },
      );
      return json({ ...result, lines: changeLines(result.changes) });
    },
  },
];

/** Either the definition itself, YAML or JSON, or the command line's `{files, secrets}`. */
function readRequest(text: string): { request: DefinitionRequest; mayHoldCredentials: boolean } {
  if (text.trim() === '') throw new DailiesError('invalid', 'The request is empty; it must hold a definition.');
  const parsed = tryJson(text);
  if (parsed !== null && typeof parsed === 'object' && 'files' in parsed && !('version' in parsed))
    return { request: parseInput(files, parsed), mayHoldCredentials: true };
  return { request: { files: [{ name: 'definition', text }], secrets: {} }, mayHoldCredentials: false };
}

function tryJson(text: string): unknown {
  if (!text.trimStart().startsWith('{')) return null;
  try {
    return JSON.parse(text);
  } catch {
    // YAML may begin with a brace too; its parser tells what is wrong, and where.
    return null;
  }
}
