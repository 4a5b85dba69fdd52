import fc from 'fast-check';
import { expect, test } from 'vitest';
import { typeName } from '#catalog/schemas/schema.ts';
import { serverNames } from '#test/fixtures/mysql-programs.ts';
import { describeServers, startServer } from '#test/fixtures/mysql-server.ts';
import { Mirror, printable } from './mirror.ts';
import { typesOf } from './type-matrix.ts';

describeServers('types', serverNames, (serverName) => {
  test('are the same from a snapshot, the stream and a row that is read again', async () => {
    await using server = await startServer(serverName);
    const typeMatrix = typesOf(serverName);
    await using database = await server.createDatabase();
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
    console.info(`types of ${serverName}: SEED=${seed}`);
    const columns = typeMatrix.map(({ sql }, index) => `c${index} ${sql}`);
    for (const table of ['snapshot', 'stream']) {
      await database.query(`CREATE TABLE ${table} (id INT PRIMARY KEY, ${columns.join(', ')})`);
    }
    const rows = fc.sample(
      fc.record({ cells: fc.tuple(...typeMatrix.map(({ values }) => fc.option(values, { nil: null, freq: 8 }))) }),
      { numRuns: 60, seed },
    );
    await database.query("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'");
    const insert = async (table: string) => {
      for (const [id, { cells }] of rows.entries()) {
        await database.query(
          `INSERT INTO ${table} VALUES (${[id, ...cells.map((cell) => cell?.literal ?? 'NULL')].join(', ')})`,
        );
      }
    };
    await insert('snapshot');
    const mirror = new Mirror(server.url(), [`${database.name}.*`]);
    await mirror.start();
    await mirror.until(() => mirror.table(`${database.name}.stream`).isWhole);
    await insert('stream');
    await mirror.caughtUp();
    const [snapshot, stream] = ['snapshot', 'stream'].map((name) => mirror.table(`${database.name}.${name}`));
    expect(mirror.ops.length).toBe(rows.length);
    expect(snapshot?.schema?.fields.slice(1, 1 + typeMatrix.length).map(({ type }) => typeName(type))).toEqual(
      typeMatrix.map(({ type }) => type),
    );
    const keys = rows.map((_, id) => [id]);
    const again = await mirror.source.readRows(
      `s.${database.name}.stream`,
      stream?.schema ?? { fields: [], key: [] },
      keys,
      new AbortController().signal,
    );
    for (const [id, { cells }] of rows.entries()) {
      const read = snapshot?.rows.get(`[{"name":${id}}]`) ?? {};
      const told = stream?.rows.get(`[{"name":${id}}]`) ?? {};
      const asked = Object.fromEntries(
        (stream?.schema?.fields ?? []).map(({ name }, index) => [name, again.get(id)?.[index]]),
      );
      for (const [index, cell] of cells.entries()) {
        const name = `c${index}`;
        const about = `${typeMatrix[index]?.sql} ${cell?.literal}`;
        const [r, t, a] = [read, told, asked].map((row) =>
          printable({ value: row[name], text: row[`${name}__text`] ?? null }),
        );
        expect(t, about).toEqual(r);
        expect(a, about).toEqual(r);
        if (cell === null) expect(t, about).toEqual({ value: null, text: null });
        else if (cell.value !== undefined) {
          expect(t, about).toEqual(
            printable({
              value: Object.is(cell.value, -0) ? (t?.value === '-0' ? -0 : 0) : cell.value,
              text: cell.odd ?? null,
            }),
          );
        }
      }
    }
    await mirror.stop();
  });
});
