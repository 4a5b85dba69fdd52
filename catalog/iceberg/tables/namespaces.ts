import { Prisma } from '#prisma/generated/client.ts';
import { DailiesError } from '../../error.ts';
import type { State } from '../../state/state.ts';
import { withoutProperties } from '../metadata/property-changes.ts';
import { joinName } from './table-name.ts';

/** What is written in the same transaction. */
export type Alongside = (tx: Prisma.TransactionClient) => Promise<void>;

/** A part of a sorted list: what follows `after`, at most `limit` of it. */
export interface PageOf {
  after: string | null;
  /** Null for all. */
  limit: number | null;
}

export interface Namespace {
  levels: readonly string[];
  properties: Readonly<Record<string, string>>;
}

/** Makes a namespace and those above it, as far as they are missing. */
export async function makeNamespaces(
  tx: Prisma.TransactionClient,
  levels: readonly string[],
  properties: Readonly<Record<string, string>> = {},
): Promise<{ isNew: boolean }> {
  const above = levels.slice(0, -1).map((_, index) => levels.slice(0, index + 1));
  await tx.icebergNamespace.createMany({
    data: above.map((each) => ({ name: joinName(each), levels: [...each] })),
    skipDuplicates: true,
  });
  const made = await tx.icebergNamespace.createMany({
    data: [{ name: joinName(levels), levels: [...levels], properties }],
    skipDuplicates: true,
  });
  return { isNew: made.count === 1 };
}

/** Null for no such namespace. */
export async function findNamespace(state: State, levels: readonly string[]): Promise<Namespace | null> {
  const row = await state.icebergNamespace.findUnique({ where: { name: joinName(levels) } });
  return row ? { levels: row.levels, properties: stringsOf(row.properties) } : null;
}

/** The last levels of the namespaces right below `parent` (of the top ones for none), sorted by their code points. */
export async function listChildren(state: State, parent: readonly string[], page: PageOf): Promise<string[]> {
  const depth = parent.length + 1;
  const rows = await state.$queryRaw<{ level: string }[]>`
    SELECT "levels"[${depth}] COLLATE "C" AS level FROM "IcebergNamespace"
    WHERE cardinality("levels") = ${depth} AND "levels"[1:${parent.length}] = ${[...parent]}::text[]
      AND (${page.after}::text IS NULL OR "levels"[${depth}] COLLATE "C" > ${page.after})
    ORDER BY 1 LIMIT ${page.limit}::bigint`;
  return rows.map((row) => row.level);
}

/** Names of the tables or views of a namespace, without the namespace, sorted by their code points. */
export async function listIn(
  state: State,
  kind: 'table' | 'view',
  levels: readonly string[],
  page: PageOf,
): Promise<string[]> {
  const from = kind === 'table' ? Prisma.sql`"IcebergTable"` : Prisma.sql`"IcebergView"`;
  const rows = await state.$queryRaw<{ name: string }[]>`
    SELECT "name" COLLATE "C" AS name FROM ${from}
    WHERE "namespaceName" = ${joinName(levels)}
      AND (${page.after}::text IS NULL OR "name" COLLATE "C" > ${page.after})
    ORDER BY 1 LIMIT ${page.limit}::bigint`;
  return rows.map((row) => row.name);
}

/** What became of each property that was to be changed. */
export interface PropertyChanges {
  updated: string[];
  removed: string[];
  missing: string[];
}

/** Null for no such namespace. */
export async function changeProperties(
  state: State,
  levels: readonly string[],
  { removals, updates }: { removals: readonly string[]; updates: Readonly<Record<string, string>> },
  alongside: Alongside,
): Promise<PropertyChanges | null> {
  const name = joinName(levels);
  return await state.$transaction(async (tx) => {
    const [row] = await tx.$queryRaw<{ properties: Prisma.JsonValue }[]>`
      SELECT "properties" FROM "IcebergNamespace" WHERE "name" = ${name} FOR UPDATE`;
    if (!row) return null;
    const before = stringsOf(row.properties);
    const kept = withoutProperties(before, removals);
    await tx.icebergNamespace.update({ where: { name }, data: { properties: { ...kept, ...updates } } });
    await alongside(tx);
    return {
      updated: Object.keys(updates),
      removed: removals.filter((key) => Object.hasOwn(before, key)),
      missing: removals.filter((key) => !Object.hasOwn(before, key)),
    };
  });
}

/** Removes a namespace that holds nothing. Answers false for no such namespace; throws `conflict` where it holds something. */
export async function dropNamespace(state: State, levels: readonly string[], alongside: Alongside): Promise<boolean> {
  const name = joinName(levels);
  return await state.$transaction(async (tx) => {
    const [row] = await tx.$queryRaw<unknown[]>`SELECT 1 FROM "IcebergNamespace" WHERE "name" = ${name} FOR UPDATE`;
    if (!row) return false;
    const [tables, views, [children]] = [
      await tx.icebergTable.count({ where: { namespaceName: name } }),
      await tx.icebergView.count({ where: { namespaceName: name } }),
      await tx.$queryRaw<{ count: bigint }[]>`
        SELECT count(*) AS count FROM "IcebergNamespace"
        WHERE cardinality("levels") > ${levels.length} AND "levels"[1:${levels.length}] = ${[...levels]}::text[]`,
    ];
    const parts = [
      [tables, 'table'],
      [views, 'view'],
      [Number(children?.count ?? 0), 'namespace'],
    ] as const;
    const held = parts
      .filter(([count]) => count > 0)
      .map(([count, what]) => `${count} ${what}${count === 1 ? '' : 's'}`);
    if (held.length > 0) {
      throw new DailiesError('conflict', `Namespace ${name} is not empty: it contains ${held.join(', ')}.`, {
        details: { namespace: name },
      });
    }
    await tx.icebergNamespace.delete({ where: { name } });
    await alongside(tx);
    return true;
  });
}

function stringsOf(json: Prisma.JsonValue): Record<string, string> {
  const entries = Object.entries(typeof json === 'object' && json !== null && !Array.isArray(json) ? json : {});
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}
