import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { parseTableMetadata, readMetadataText } from '#catalog/iceberg/metadata/table-metadata.ts';
import type { TableUpdate } from '#catalog/iceberg/metadata/table-updates.ts';
import { filePath } from '#catalog/iceberg/storage/location.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import type { TableCommit, TableEntry } from '#catalog/iceberg/tables/table-catalog.ts';
import { createWarehouse, type TestWarehouse } from './warehouse.ts';

async function creation(catalog: IcebergCatalog, name: string, properties = {}): Promise<TableCommit> {
  const uuid = crypto.randomUUID();
  const updates: TableUpdate[] = [
    { action: 'assign-uuid', uuid },
    { action: 'set-location', location: await catalog.newTableLocation(name, uuid) },
    {
      action: 'add-schema',
      schema: { type: 'struct', 'schema-id': 0, fields: [{ id: 1, name: 'id', required: true, type: 'long' }] },
    },
    { action: 'set-current-schema', 'schema-id': -1 },
    { action: 'set-properties', updates: properties },
  ];
  return { name, base: null, requirements: [{ type: 'assert-create' }], updates };
}

async function create(warehouse: TestWarehouse, name: string, properties = {}): Promise<TableEntry> {
  const [entry] = await warehouse.catalog.commit([await creation(warehouse.catalog, name, properties)]);
  if (!entry) throw new Error('nothing was committed');
  return entry;
}

function setting(name: string, base: TableEntry, key: string, value: string): TableCommit {
  return {
    name,
    base,
    requirements: [{ type: 'assert-table-uuid', uuid: base.metadata['table-uuid'] }],
    updates: [{ action: 'set-properties', updates: { [key]: value } }],
  };
}

/** The next snapshot of `main` after the one that the base shows. */
function appending(name: string, base: TableEntry, id: bigint): TableCommit {
  const parent = base.metadata['current-snapshot-id'] ?? null;
  return {
    name,
    base,
    requirements: [{ type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': parent }],
    updates: [
      {
        action: 'add-snapshot',
        snapshot: {
          'snapshot-id': id,
          'parent-snapshot-id': parent,
          'sequence-number': base.metadata['last-sequence-number'] + 1n,
          'timestamp-ms': 1,
          'manifest-list': `file:///none/${id}.avro`,
          summary: { operation: 'append' },
        },
      },
      { action: 'set-snapshot-ref', 'ref-name': 'main', type: 'branch', 'snapshot-id': id },
    ],
  };
}

async function metadataFiles(entry: TableEntry): Promise<string[]> {
  return (await readdir(`${filePath(entry.metadata.location)}/metadata`)).sort();
}

test('a commit writes the next metadata file, with the one before in its log, as many as the table keeps', async () => {
  await using warehouse = await createWarehouse();
  let entry = await create(warehouse, 'ns.t', { 'write.metadata.previous-versions-max': '2' });
  const locations = [entry.metadataLocation];
  for (const value of ['1', '2', '3']) {
    const [next] = await warehouse.catalog.commit([setting('ns.t', entry, 'step', value)]);
    if (!next) throw new Error('nothing was committed');
    entry = next;
    locations.push(entry.metadataLocation);
  }
  expect(entry.metadata['metadata-log'].map((file) => file['metadata-file'])).toEqual(locations.slice(1, 3));
  expect(locations.map((location) => /\/(\d+)-/.exec(location)?.[1])).toEqual(['00000', '00001', '00002', '00003']);
  expect(await warehouse.catalog.locate('ns.t')).toBe(entry.metadataLocation);
  const read = parseTableMetadata(await readMetadataText(entry.metadataLocation), entry.metadataLocation);
  expect(read).toEqual(entry.metadata);
  const [same] = await warehouse.catalog.commit([{ name: 'ns.t', base: entry, requirements: [], updates: [] }]);
  expect(same?.metadataLocation).toBe(entry.metadataLocation);
});

test('a commit on an old base applies to the newest one where its requirements hold, and is a conflict where not', async () => {
  await using warehouse = await createWarehouse();
  const old = await create(warehouse, 'ns.t');
  await warehouse.catalog.commit([setting('ns.t', old, 'first', 'a')]);
  await warehouse.catalog.commit([setting('ns.t', old, 'second', 'b')]);
  const [entry] = await warehouse.catalog.commit([appending('ns.t', old, 5n)]);
  expect(entry?.metadata).toMatchObject({ properties: { first: 'a', second: 'b' }, 'current-snapshot-id': 5n });
  const files = await metadataFiles(old);
  await expect(warehouse.catalog.commit([appending('ns.t', old, 6n)])).rejects.toMatchObject({
    code: 'commit_conflict',
  });
  await expect(create(warehouse, 'ns.t')).rejects.toMatchObject({ code: 'commit_conflict' });
  expect(await metadataFiles(old)).toEqual(files);
});

test('several tables are committed together or not at all, with what is written alongside', async () => {
  await using warehouse = await createWarehouse();
  const { catalog, state } = warehouse;
  const [a, b] = [await create(warehouse, 'ns.a'), await create(warehouse, 'ns.b')];
  const files = [await metadataFiles(a), await metadataFiles(b)];
  await catalog.commit([appending('ns.b', b, 1n)]);
  await expect(
    catalog.commit([setting('ns.a', a, 'k', 'v'), appending('ns.b', b, 2n), await creation(catalog, 'ns.c')]),
  ).rejects.toMatchObject({ code: 'commit_conflict' });
  await expect(
    catalog.commit([setting('ns.a', a, 'k', 'v'), await creation(catalog, 'ns.c')], async () => {
      throw new Error('alongside');
    }),
  ).rejects.toThrow();
  expect(await catalog.list()).toEqual(['ns.a', 'ns.b']);
  expect([await metadataFiles(a), (await metadataFiles(b)).length]).toEqual([files[0], (files[1]?.length ?? 0) + 1]);
  const entries = await catalog.commit(
    [setting('ns.a', a, 'k', 'v'), await creation(catalog, 'deep.er.c')],
    async (tx) => {
      await tx.setting.create({ data: { key: 'alongside', value: true } });
    },
  );
  expect(entries.length).toBe(2);
  expect(await catalog.namespaces()).toEqual(['deep', 'deep.er', 'ns']);
  expect(await state.setting.findUnique({ where: { key: 'alongside' } })).not.toBeNull();
});

test('of many that commit at once, in several processes, none is lost and each is there once', async () => {
  await using warehouse = await createWarehouse();
  const entry = await create(warehouse, 'ns.t');
  // Catalogs of their own know nothing of each other, as in processes of their own.
  const catalogs = Array.from({ length: 4 }, () => new IcebergCatalog(warehouse.state, warehouse.catalog.warehouse));
  const commits = Array.from({ length: 60 }, (_, index) => {
    const catalog = catalogs[index % catalogs.length];
    return catalog?.commit([setting('ns.t', entry, `key-${index}`, String(index))]);
  });
  await Promise.all(commits);
  const last = await warehouse.catalog.load('ns.t');
  expect(Object.keys(last?.metadata.properties ?? {}).length).toBe(60);
  expect(last?.metadata['metadata-log'].length).toBe(60);
  expect((await metadataFiles(entry)).length).toBe(61);
});

test('of many that append after the same snapshot one wins and all others are told, each time', async () => {
  await using warehouse = await createWarehouse();
  let entry = await create(warehouse, 'ns.t');
  for (let round = 0n; round < 5n; round++) {
    const base = entry;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) =>
        new IcebergCatalog(warehouse.state, warehouse.catalog.warehouse).commit([
          appending('ns.t', base, round * 100n + BigInt(index) + 1n),
        ]),
      ),
    );
    const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
    expect(won.length).toBe(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'commit_conflict' });
    }
    entry = won[0]?.value[0] ?? entry;
  }
  expect(entry.metadata.snapshots.length).toBe(5);
  expect((await metadataFiles(entry)).length).toBe(6);
});

test('of many that make the same table one wins', async () => {
  await using warehouse = await createWarehouse();
  const outcomes = await Promise.allSettled(
    Array.from({ length: 10 }, async () => {
      const catalog = new IcebergCatalog(warehouse.state, warehouse.catalog.warehouse);
      return await catalog.commit([await creation(catalog, 'ns.t')]);
    }),
  );
  expect(outcomes.filter((outcome) => outcome.status === 'fulfilled').length).toBe(1);
  expect(await warehouse.catalog.list('ns')).toEqual(['ns.t']);
});

test('names whose parts have dots are quoted, and found again', async () => {
  await using warehouse = await createWarehouse();
  await create(warehouse, '"a.b"."t.1"');
  await create(warehouse, 'a.b.t');
  expect(await warehouse.catalog.list()).toEqual(['"a.b"."t.1"', 'a.b.t']);
  expect(await warehouse.catalog.namespaces()).toEqual(['"a.b"', 'a', 'a.b']);
  expect(await warehouse.catalog.locate('"a.b"."t.1"')).not.toBeNull();
  for (const name of ['t', '', '.t', 'a.', 'a..t', '"a.b"t.x', 'a."', '"".t']) {
    await expect(warehouse.catalog.locate(name), name).rejects.toMatchObject({ code: 'invalid' });
  }
});
