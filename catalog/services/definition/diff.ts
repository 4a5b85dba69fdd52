import { isDeepStrictEqual } from 'node:util';
import type { Definition } from './schema.ts';

export type Section = 'secrets' | 'sources' | 'pipelines' | 'reports' | 'people';

/** One difference between what runs and what it shall be. */
export interface Change {
  section: Section;
  name: string;
  change: 'add' | 'change' | 'remove';
  /** What of it, in words; empty for an addition or a removal. */
  details: string[];
}

const sections = ['sources', 'pipelines', 'reports', 'people'] as const;

/** What to do so that `current` says all that `wanted` says; what `wanted` does not name is removed only if `prune`. */
export function diffDefinitions(current: Definition, wanted: Definition, prune: boolean): Change[] {
  return sections.flatMap((section) => {
    const before: Record<string, unknown> = current[section];
    const after: Record<string, unknown> = wanted[section];
    const changes: Change[] = [];
    for (const [name, value] of Object.entries(after)) {
      if (!Object.hasOwn(before, name)) changes.push({ section, name, change: 'add', details: [] });
      else if (!isDeepStrictEqual(plain(before[name]), plain(value)))
        changes.push({ section, name, change: 'change', details: describeChange(before[name], value) });
    }
    if (prune)
      for (const name of Object.keys(before))
        if (!Object.hasOwn(after, name)) changes.push({ section, name, change: 'remove', details: [] });
    return changes;
  });
}

/** For a terminal: `+ pipeline movies`, `~ source production: tables: added public.deal`. */
export function changeLines(changes: readonly Change[]): string[] {
  const singular = { secrets: 'secret', sources: 'source', pipelines: 'pipeline', reports: 'report', people: 'person' };
  const signs = { add: '+', change: '~', remove: '-' };
  return changes.map(({ section, name, change, details }) => {
    const what = `${signs[change]} ${singular[section]} ${name}`;
    return details.length === 0 ? what : `${what}: ${details.join('; ')}`;
  });
}

function describeChange(before: unknown, after: unknown, path = ''): string[] {
  if (isDeepStrictEqual(plain(before), plain(after))) return [];
  if (isObject(before) && isObject(after)) {
    return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) =>
      describeChange(before[key], after[key], path === '' ? key : `${path}.${key}`),
    );
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    if (![...before, ...after].every((item) => typeof item === 'string')) {
      if (before.length !== after.length) return [`${path}: ${before.length} → ${after.length}`];
      return before.flatMap((item, index) => describeChange(item, after[index], `${path}[${index}]`));
    }
    const added = after.filter((item) => !before.includes(item));
    const removed = before.filter((item) => !after.includes(item));
    if (added.length === 0 && removed.length === 0) return [`${path}: another order`];
    return [
      ...(added.length > 0 ? [`${path}: added ${added.join(', ')}`] : []),
      ...(removed.length > 0 ? [`${path}: removed ${removed.join(', ')}`] : []),
    ];
  }
  if (before === undefined) return [`${path}: ${show(after)} added`];
  if (after === undefined) return [`${path}: removed`];
  return [`${path}: ${show(before)} → ${show(after)}`];
}

function show(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > 80 ? `${line.slice(0, 77)}…` : line;
}

/** As the state database gives it back: no undefined, no class instances. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
