import { expect, test } from 'vitest';
import type { Row } from '#catalog/schemas/schema.ts';
import { describeWith } from '#test/fixtures/engine.ts';
import { changesOf, openSink, position, signal, snapshot } from '#test/ingest/sinks/sink-driver.ts';
import { everyType, everyTypeRows } from './every-type.ts';
import { printedRows, readWithPyIceberg } from './pyiceberg.ts';
import { createWarehouse, schemaOf, sorted } from './warehouse.ts';

const name = 'production.movie';

function byText(rows: unknown[][]): string[] {
  return rows.map((row) => JSON.stringify(row)).sort();
}

describeWith('pyiceberg', 'PyIceberg through the REST catalog', () => {
  test('reads every type, nulls and nested values as they were written', async () => {
    await using warehouse = await createWarehouse();
    const sink = openSink(warehouse);
    await snapshot(sink, everyType, everyTypeRows);
    await sink.commit(position(1), signal);
    await sink.close();
    expect(sorted(await warehouse.read(name))).toEqual(sorted(everyTypeRows));
    const table = await readWithPyIceberg(warehouse.catalog, name);
    expect(table.namespaces).toEqual(['production']);
    expect(table.tables).toEqual([name]);
    expect(table.identifiers).toEqual(['id']);
    expect(byText(table.rows)).toEqual(byText(printedRows(everyType, everyTypeRows)));
  });

  test('reads what is left after updates and deletes, with an added, a dropped and a widened column', async () => {
    await using warehouse = await createWarehouse();
    const sink = openSink(warehouse);
    const before = schemaOf({ id: 'int', title: 'string', gone: 'int', size: 'int' }, ['id']);
    await snapshot(
      sink,
      before,
      Array.from({ length: 1000 }, (_, id): Row => [id, `Film ${id}`, id % 7, id]),
    );
    await sink.commit(position(1), signal);
    for (let step = 0; step < 3; step++) {
      const changed = Array.from({ length: 50 }, (_, index) => step * 100 + index);
      await sink.write(
        changesOf(before, [
          ...changed.map((id) => ({ op: 'u' as const, after: [id, `Film ${id}, take ${step}`, null, id] })),
          ...changed.map((id) => ({ op: 'd' as const, before: [id + 50, null, null, null] })),
        ]),
        signal,
      );
      await sink.commit(position(2 + step), signal);
    }
    const after = schemaOf(
      {
        id: 'int',
        title: 'string',
        size: 'long',
        edge: { kind: 'struct', fields: [{ name: 'country', type: { kind: 'string' }, required: false }] },
      },
      ['id'],
    );
    await sink.write(changesOf(after, [{ op: 'u', after: [999, 'Last', 1n << 40n, ['Fiji']] }]), signal);
    await sink.commit(position(9), signal);
    await sink.close();
    const expected: Row[] = Array.from({ length: 1000 }, (_, id): Row | null => {
      if (id === 999) return [999, 'Last', 1n << 40n, ['Fiji']];
      if (id < 300 && id % 100 >= 50) return null;
      const title = id < 300 ? `Film ${id}, take ${Math.floor(id / 100)}` : `Film ${id}`;
      return [id, title, BigInt(id), null];
    }).filter((row) => row !== null);
    expect(sorted(await warehouse.read(name))).toEqual(sorted(expected));
    const table = await readWithPyIceberg(warehouse.catalog, name);
    expect(byText(table.rows)).toEqual(byText(printedRows(after, expected)));
    // Bounds and null counts let a reader leave out files; wrong ones would lose rows.
    const filtered = await readWithPyIceberg(warehouse.catalog, name, "size > 990 and title like 'Film%'");
    expect(byText(filtered.rows)).toEqual(
      byText(
        printedRows(
          after,
          expected.filter(([id]) => Number(id) > 990 && id !== 999),
        ),
      ),
    );
  });

  test('reads an empty table, one emptied later, and one without a key', async () => {
    await using warehouse = await createWarehouse();
    const sourceTables = ['production.public.empty', 'production.public.cleared', 'production.public.log'];
    const sink = openSink(warehouse, { sourceTables });
    const [empty = '', cleared = '', log = ''] = sourceTables;
    const keyed = schemaOf({ id: 'double', title: 'string' }, ['id']);
    const keyless = schemaOf({ at: 'timestamptz', line: 'string' });
    await snapshot(sink, keyed, [], empty);
    await snapshot(sink, keyed, [[1, 'a']], cleared);
    await snapshot(
      sink,
      keyless,
      [
        [1n, 'x'],
        [1n, 'x'],
        [2n, null],
      ],
      log,
    );
    await sink.commit(position(1), signal);
    await sink.write(changesOf(keyed, [{ op: 'd', before: [1, null] }], cleared), signal);
    await sink.write(changesOf(keyless, [{ op: 'd', before: [1n, 'x'] }], log), signal);
    await sink.commit(position(2), signal);
    await sink.close();
    expect((await readWithPyIceberg(warehouse.catalog, 'production.empty')).rows).toEqual([]);
    expect((await readWithPyIceberg(warehouse.catalog, 'production.cleared')).rows).toEqual([]);
    const table = await readWithPyIceberg(warehouse.catalog, 'production.log');
    expect(table.identifiers).toEqual([]);
    expect(byText(table.rows)).toEqual(
      byText(
        printedRows(keyless, [
          [1n, 'x'],
          [2n, null],
        ]),
      ),
    );
  });
});
