import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { type Row, UNKNOWN } from '#catalog/schemas/schema.ts';
import { openState } from '#catalog/state/state.ts';
import { schemaOf } from '#test/catalog/iceberg/warehouse.ts';
import { type Change, changesOf, openSink, position, signal, snapshot } from './sink-driver.ts';

/*
 * A fixed history of two tables, batch by batch, as a process of its own that a failpoint may end anywhere:
 * node crash-history.ts STATE_URL WAREHOUSE INDEX_DIR FORMAT_VERSION. It goes on after what the tables say they hold.
 */
export const movies = 'production.public.movie';
export const log = 'production.public.log';
export const movieSchema = schemaOf({ id: 'long', title: 'string', plot: 'string' }, ['id']);
export const logSchema = schemaOf({ line: 'string', batch: 'int' });
export const batches = 24;

interface Tables {
  movies: Map<bigint, Row>;
  log: Row[];
}

/** The changes of one batch, applied to the model on the way. Batch 0 is the snapshot. */
export function changesOfBatch(batch: number, tables: Tables): { movies: Change[]; log: Change[] } {
  const unknown = UNKNOWN as never;
  const changes: { movies: Change[]; log: Change[] } = { movies: [], log: [] };
  for (let index = 0; index < 20; index++) {
    const id = BigInt((batch * 13 + index * 7) % 100);
    const old = tables.movies.get(id);
    const row: Row = [id, `Film ${id} at ${batch}`, old?.[2] ?? `plot of ${batch}`];
    tables.movies.set(id, row);
    changes.movies.push({ op: old ? 'u' : 'c', after: old ? row.with(2, unknown) : row });
  }
  const gone = BigInt((batch * 13) % 100);
  const moved = tables.movies.get(gone);
  if (moved) {
    const to = BigInt(1000 + batch);
    tables.movies.delete(gone);
    tables.movies.set(to, moved.with(0, to));
    changes.movies.push({ op: 'd', before: [gone, unknown, unknown] });
    changes.movies.push({ op: 'c', after: [to, moved[1] ?? null, unknown] });
  }
  if (batch === 7) {
    changes.log.push({ op: 't' });
    tables.log = [];
  }
  for (let index = 0; index < 5; index++) {
    const row: Row = [`line ${index % 3}`, batch];
    tables.log.push(row);
    changes.log.push({ op: 'c', after: row });
  }
  const [first] = tables.log.splice(0, 1);
  if (first) changes.log.push({ op: 'd', before: first });
  return changes;
}

export function modelAfter(last: number): Tables {
  const tables: Tables = { movies: new Map(), log: [] };
  for (let batch = 0; batch <= last; batch++) changesOfBatch(batch, tables);
  return tables;
}

async function run(stateUrl: string, warehouse: string, indexDir: string, formatVersion: 2 | 3): Promise<void> {
  const state = openState(stateUrl, 3);
  const catalog = new IcebergCatalog(state, warehouse);
  const sink = openSink({ catalog, state, indexDir }, { sourceTables: [movies, log], formatVersion });
  const held = await sink.writtenUpTo(movies, signal);
  const done = held?.production?.offset ?? -1;
  if (done < 0) {
    const first = modelAfter(0);
    await snapshot(sink, movieSchema, [...first.movies.values()], movies);
    await snapshot(sink, logSchema, first.log, log);
    await sink.commit(position(0), signal);
  }
  for (let batch = Math.max(done + 1, 1); batch <= batches; batch++) {
    const changes = changesOfBatch(batch, modelAfter(batch - 1));
    await sink.write(changesOf(movieSchema, changes.movies, movies), signal);
    await sink.write(changesOf(logSchema, changes.log, log), signal);
    await sink.commit(position(batch), signal);
  }
  await sink.close();
  await state.$disconnect();
}

const [stateUrl, warehouse, indexDir, format] = process.argv.slice(2);
if (import.meta.main && stateUrl && warehouse && indexDir)
  await run(stateUrl, warehouse, indexDir, format === '3' ? 3 : 2);
