import { stringify } from 'yaml';
import { requireAccess } from '../../access/principal.ts';
import type { Module, ModuleList } from '../../module.ts';
import type { Scope } from '../scope.ts';
import { currentDefinition } from './current.ts';
import type { Definition, ModuleEntry } from './schema.ts';

export type ExportedDefinition = { version: 1 } & { [Section in keyof Definition]?: Record<string, unknown> };

/** The definition of what runs, secrets as references: applying it changes nothing. Empty sections are left out. */
export async function exportDefinition(scope: Scope & { modules: ModuleList }): Promise<ExportedDefinition> {
  requireAccess(scope.who, 'admin', 'export the definition');
  const { modules } = scope;
  const { sources, pipelines, reports, people } = await currentDefinition(scope.state);
  const sections = {
    sources: mapValues(sources, (entry) => orderEntry(entry, modules.sources)),
    pipelines: mapValues(pipelines, ({ owner, from, steps, to }) => ({
      ...(owner === undefined ? {} : { owner }),
      from,
      ...(steps.length === 0 ? {} : { steps: steps.map((entry) => orderEntry(entry, modules.processors)) }),
      to: to.map((entry) => orderEntry(entry, modules.sinks)),
    })),
    reports: mapValues(reports, ({ owner, title, sql, parameters, schedule, deliveries }) => ({
      owner,
      ...(title === undefined ? {} : { title }),
      sql,
      ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
      ...(schedule === undefined ? {} : { schedule }),
      ...(deliveries.length === 0
        ? {}
        : { deliveries: deliveries.map((entry) => orderEntry(entry, modules.destinations)) }),
    })),
    people,
  };
  const filled = Object.entries(sections).filter(([, section]) => Object.keys(section).length > 0);
  return { version: 1, ...Object.fromEntries(filled) };
}

export function definitionYaml(definition: ExportedDefinition): string {
  return stringify(definition, { lineWidth: 0 });
}

/** The state database does not keep the order of settings; the module's own schema has a readable one. */
function orderEntry(entry: ModuleEntry, modules: readonly Module[]): ModuleEntry {
  const module = modules.find((candidate) => candidate.id === entry.kind);
  const order = ['kind', 'name', ...Object.keys(module?.config.shape ?? {})];
  const place = (key: string) => {
    const found = order.indexOf(key);
    return found < 0 ? order.length : found;
  };
  const sorted = Object.entries(entry).sort(([a], [b]) => place(a) - place(b));
  return Object.fromEntries(sorted) as ModuleEntry;
}

function mapValues<T>(record: Record<string, T>, change: (value: T) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));
}
