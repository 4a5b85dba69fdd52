import type { ModuleKind, ModuleList } from '../../module.ts';
import { toJsonSchema } from './known-keys.ts';
import type { Path } from './problem.ts';
import type { Definition, ModuleEntry } from './schema.ts';
import { literalCredentials, moduleSettings, modulesOf } from './validate.ts';

/**
 * The definition with each credential that stands in it as it is replaced by a reference, its value added to `secrets`
 * under the name of its place: `production.url`. The same file gives the same names.
 */
export function keepCredentials(definition: Definition, modules: ModuleList, secrets: Map<string, string>): Definition {
  const keep = (kind: ModuleKind, entry: ModuleEntry, place: Path): ModuleEntry => {
    const module = modulesOf(modules, kind).find((candidate) => candidate.id === entry.kind);
    if (module === undefined) return entry;
    const copy = structuredClone(entry);
    for (const path of literalCredentials(toJsonSchema(module.config), moduleSettings(kind, entry))) {
      const name = [...place, ...path].join('.').replace(/[^A-Za-z0-9_.-]/g, '_');
      secrets.set(name, replaceAt(copy, path, `\${secret:${name}}`));
    }
    return copy;
  };
  return {
    ...definition,
    sources: mapEntries(definition.sources, (entry, name) => keep('source', entry, [name])),
    pipelines: mapEntries(definition.pipelines, (pipeline, name) => ({
      ...pipeline,
      steps: pipeline.steps.map((step, index) => ({ ...step, ...keep('processor', step, [name, 'steps', index]) })),
      to: pipeline.to.map((sink, index) => keep('sink', sink, [name, 'to', index])),
    })),
    reports: mapEntries(definition.reports, (report, name) => ({
      ...report,
      deliveries: report.deliveries.map((delivery, index) =>
        keep('destination', delivery, [name, 'deliveries', index]),
      ),
    })),
  };
}

/** Puts `text` at `path` and returns what stood there. */
function replaceAt(value: object, path: Path, text: string): string {
  const parent = path
    .slice(0, -1)
    .reduce<unknown>((found, part) => (found as Record<string | number, unknown>)[part], value);
  const holder = parent as Record<string | number, unknown>;
  const last = path.at(-1) ?? '';
  const before = String(holder[last]);
  holder[last] = text;
  return before;
}

function mapEntries<T>(record: Record<string, T>, change: (value: T, name: string) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value, name)]));
}
