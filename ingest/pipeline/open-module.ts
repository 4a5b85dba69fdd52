import { z } from 'zod';
import { DailiesError } from '#catalog/error.ts';
import type { Module } from '#catalog/module.ts';

/** An entry of a definition: its module's id and that module's settings. */
export interface ModuleEntry {
  kind: string;
  [setting: string]: unknown;
}

/** The module that an entry names, and its settings checked and with secrets filled in. */
export async function parseEntry<M extends Module>(
  modules: readonly M[],
  entry: ModuleEntry,
  resolveSecrets: <T>(spec: T) => Promise<T>,
  what: string,
): Promise<{ module: M; config: z.infer<M['config']> }> {
  const { kind, ...settings } = entry;
  const module = modules.find((candidate) => candidate.id === kind);
  if (!module) {
    const known = modules.map((candidate) => candidate.id).join(', ');
    throw new DailiesError('unsupported', `${what} is of the kind ${kind}, which is not here. There is: ${known}.`);
  }
  const parsed = module.config.safeParse(await resolveSecrets(settings));
  if (!parsed.success) {
    throw new DailiesError('definition_invalid', `${what}: ${z.prettifyError(parsed.error)}`);
  }
  return { module, config: parsed.data as z.infer<M['config']> };
}
