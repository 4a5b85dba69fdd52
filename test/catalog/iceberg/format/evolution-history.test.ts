import fc from 'fast-check';
import { expect, test } from 'vitest';
import { currentSnapshot } from '#catalog/iceberg/metadata/table-metadata.ts';
import { commitTables } from '#catalog/iceberg/write/commit.ts';
import { TableWriter } from '#catalog/iceberg/write/table-writer.ts';
import type { Row, Value } from '#catalog/schemas/schema.ts';
import { createWarehouse, sorted } from '../warehouse.ts';
import { rewriteAll } from './rewrite-all.ts';
import { edits, type Node, type NodeType, nested, SchemaHistory } from './schema-history.ts';
import { seedFor, valuesOf } from './typed-values.ts';

/** A value by what its fields are, not by how they are called or stand: structs hold their parts by token. */
type Model =
  | Value
  | { parts: ReadonlyMap<number, Model> }
  | { items: readonly Model[] }
  | { entries: readonly [string, Model][] };

function modelsOf(fields: readonly Node[]): fc.Arbitrary<ReadonlyMap<number, Model>> {
  return fc
    .tuple(...fields.map((node) => (node.required ? modelOf(node.type) : fc.option(modelOf(node.type), { freq: 4 }))))
    .map((values) => new Map(fields.map((node, index) => [node.token, values[index] ?? null])));
}

function modelOf(type: NodeType): fc.Arbitrary<Model> {
  switch (type.kind) {
    case 'primitive':
      return valuesOf(type.type);
    case 'struct':
      return modelsOf(type.fields).map((parts) => ({ parts }));
    case 'list':
      return fc.array(fc.option(modelOf(type.element)), { maxLength: 3 }).map((items) => ({ items }));
    case 'map':
      return fc
        .uniqueArray(fc.tuple(fc.string({ maxLength: 3 }), fc.option(modelOf(type.value))), {
          maxLength: 3,
          selector: ([key]) => key,
        })
        .map((entries) => ({ entries }));
  }
}

/** The row as the fields have it now: parts that came later are NULL, those that are gone are not in it. */
function rowOf(fields: readonly Node[], parts: ReadonlyMap<number, Model>): Value[] {
  return fields.map((node) => seen(node.type, parts.get(node.token) ?? null));
}

function seen(type: NodeType, model: Model): Value {
  if (model === null) return null;
  switch (type.kind) {
    case 'primitive':
      return type.type.kind === 'long' && typeof model === 'number' ? BigInt(model) : (model as Value);
    case 'struct':
      return rowOf(type.fields, (model as { parts: ReadonlyMap<number, Model> }).parts);
    case 'list':
      return (model as { items: readonly Model[] }).items.map((item) => seen(type.element, item));
    case 'map':
      return (model as { entries: readonly [string, Model][] }).entries.map(([key, item]) => [
        key,
        seen(type.value, item),
      ]);
  }
}

const histories = fc.record({
  types: fc.array(nested, { minLength: 1, maxLength: 3 }),
  changes: fc.array(fc.array(edits, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 }),
  rowsSeed: fc.nat(),
  formatVersion: fc.constantFrom(2 as const, 3 as const),
  rewritesAfter: fc.nat(4),
});

test('whatever happens to a schema, every row has what it had, in every snapshot and after rewrites', async () => {
  await using warehouse = await createWarehouse();
  let tables = 0;
  await fc.assert(
    fc.asyncProperty(histories, async ({ types, changes, rowsSeed, formatVersion, rewritesAfter }) => {
      const name = `production.t${tables++}`;
      const history = new SchemaHistory(types);
      const deps = { catalog: warehouse.catalog, indexDir: warehouse.indexDir, now: () => new Date() };
      const stored: ReadonlyMap<number, Model>[] = [];
      const snapshots: { snapshotId: bigint; rows: string[] }[] = [];
      const present = (): Row[] => stored.map((parts) => rowOf(history.root, parts));
      for (const [step, change] of [[], ...changes].entries()) {
        const renames = history.change(change);
        const writer = await TableWriter.open(name, deps, { formatVersion, partition: null });
        await writer.evolve(history.schema(), { renames });
        const fresh = fc.sample(modelsOf(history.root), { seed: rowsSeed + step, numRuns: 3 });
        for (const parts of fresh) await writer.upsert(rowOf(history.root, parts), true);
        stored.push(...fresh);
        await commitTables(warehouse.catalog, [writer], {}, async () => {});
        const snapshot = writer.metadata && currentSnapshot(writer.metadata);
        await writer.close();
        if (snapshot) snapshots.push({ snapshotId: snapshot['snapshot-id'], rows: sorted(present()) });
        if (step === rewritesAfter) await rewriteAll(warehouse, name);
        expect(sorted(await warehouse.read(name))).toEqual(sorted(present()));
      }
      for (const { snapshotId, rows } of snapshots) {
        expect(sorted(await warehouse.read(name, { snapshotId }))).toEqual(rows);
      }
      await rewriteAll(warehouse, name);
      expect(sorted(await warehouse.read(name))).toEqual(sorted(present()));
    }),
    // Making a failure smaller takes longer than a test may: it would only be told as late.
    { seed: seedFor('evolution history'), numRuns: 12, endOnFailure: true },
  );
});
