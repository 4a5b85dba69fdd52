import { DailiesError } from '#catalog/error.ts';
import { resolveSecrets } from '#catalog/services/secret/resolve.ts';
import { passingMemory, storedMemory } from '#ingest/pipeline/source-memory.ts';
import type { Offer, Requirement, Source } from '#ingest/source.ts';
import { askIntakeHead } from './intake-socket.ts';
import type { ServerDeps } from './server-deps.ts';

type Deps = Pick<ServerDeps, 'environment' | 'state' | 'secretKey' | 'modules' | 'now'>;

/** The source as the definition has it, opened for questions. The caller closes it. */
export async function openSource(deps: Deps, name: string): Promise<Source> {
  const row = await deps.state.source.findUnique({ where: { name } });
  const module = deps.modules.sources.find((candidate) => candidate.id === row?.kind);
  if (row === null || module === undefined)
    throw new DailiesError('not_found', `There is no source ${name}.`, { details: { source: name } });
  const { kind, ...settings } = (await resolveSecrets(deps, row.spec)) as Record<string, unknown>;
  return module.open(module.config.parse(settings), {
    name,
    memory: storedMemory(deps.state, name),
    now: deps.now,
    askHead: (signal) => askIntakeHead(deps.environment.home, name, signal),
  });
}

/** What the database behind an address still lacks before its changes can be read. Throws `invalid` where no source takes it. */
export function checkAddress(deps: Deps, url: string, signal: AbortSignal): Promise<Requirement[]> {
  return atAddress(deps, url, (source) => source.check(signal));
}

/** What the database behind an address could have beyond that, and what of it is there. Throws `invalid` where no source takes it. */
export function offersAt(deps: Deps, url: string, signal: AbortSignal): Promise<Offer[]> {
  return atAddress(deps, url, async (source) => (await source.offers?.(signal)) ?? []);
}

async function atAddress<Answer>(deps: Deps, url: string, ask: (source: Source) => Promise<Answer>): Promise<Answer> {
  const known = (await deps.state.source.findMany({ select: { name: true } })).map(({ name }) => name);
  const scheme = /^([a-z]+):\/\//.exec(url)?.[1] ?? '';
  for (const module of deps.modules.sources) {
    const config = module.config.safeParse({ url, tables: ['*.*'] });
    if (!module.schemes.includes(scheme) || !config.success) continue;
    const source = module.open(config.data, { name: 'check', memory: passingMemory(), now: deps.now, known });
    try {
      return await ask(source);
    } finally {
      await source.close();
    }
  }
  const schemes = [...new Set(deps.modules.sources.flatMap((module) => module.schemes))];
  throw new DailiesError(
    'invalid',
    `No source takes this address. Write it as postgresql://user:password@host:port/database; it may begin ${schemes.map((known) => `${known}://`).join(', ')}.`,
  );
}
