// One table on a disk and the same in S3, near and with a cloud's latency: commits, and queries that must fetch or not.
// Prints one JSON document for each. Usage: node test/bench/s3.ts [--rows 1000000] [--changes 10000] [--latency 30]
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { system } from '#catalog/access/principal.ts';
import { MaintainedTables } from '#catalog/iceberg/maintenance/maintained-tables.ts';
import { openS3 } from '#catalog/iceberg/storage/open-storage.ts';
import { readS3Settings } from '#catalog/iceberg/storage/s3-settings.ts';
import { IcebergCatalog } from '#catalog/iceberg/tables/catalog.ts';
import { QueryService } from '#catalog/query/query-service.ts';
import type { Row, Schema } from '#catalog/schemas/schema.ts';
import type { Op } from '#ingest/event.ts';
import { icebergSink } from '#ingest/sinks/iceberg.ts';
import { findEngine } from '#test/fixtures/engine.ts';
import { startVersitygw } from '#test/fixtures/s3.ts';
import { startS3Proxy } from '#test/fixtures/s3-proxy.ts';
import { type BenchProduct, percentile, startBenchProduct } from './bench-product.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    changes: { type: 'string', default: '10000' },
    latency: { type: 'string', default: '30' },
  },
});
const [rows, changes, latencyMs] = [Number(values.rows), Number(values.changes), Number(values.latency)];
const table = 'bench.film';
const source = 'bench.public.film';
const schema: Schema = {
  key: ['id'],
  fields: [
    { name: 'id', type: { kind: 'long' }, required: true },
    { name: 'title', type: { kind: 'string' }, required: false },
    { name: 'votes', type: { kind: 'int' }, required: false },
  ],
};
const signal = new AbortController().signal;
const cold = `SELECT count(*), sum(votes), max(title) FROM ${table}`;

const program = findEngine('versitygw');
if (program === null) throw new Error('versitygw is missing: run test/engines/install versitygw.');
const product = await startBenchProduct();
const server = await startVersitygw(program);
const proxy = await startS3Proxy(server.endpoint);
const cacheFolder = path.join(product.home, 'cache');
const settings = readS3Settings({ AWS_ENDPOINT_URL: proxy.endpoint });
const open = () => openS3({ settings, cacheFolder, cacheBytes: 10e9 });
let storage = await open();
try {
  await measure('disk', path.join(product.home, 'disk'));
  await measure('S3 on this machine', `s3://${server.bucket}/near`);
  proxy.latencyMs = latencyMs;
  await measure(`S3, ${latencyMs} ms a request`, `s3://${server.bucket}/far`);
} finally {
  storage.close();
  await proxy[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await product.close();
}
process.exit(0);

async function measure(name: string, warehouse: string): Promise<void> {
  await forgetTable(product);
  const catalog = new IcebergCatalog(product.state, warehouse);
  const sink = icebergSink.open(icebergSink.config.parse({ table }), {
    pipeline: 'bench',
    owner: null,
    sourceTables: [source],
    catalog,
    state: product.state,
    indexDir: path.join(product.home, 'index', name),
    now: () => new Date(),
    maintained: new MaintainedTables(),
  });
  let offset = 0;
  const commit = () => {
    offset += 1;
    return sink.commit({ bench: { offset, position: `0/${offset}`, timeMicros: String(Date.now() * 1000) } }, signal);
  };
  const film = (id: number, votes: number): Row => [
    BigInt(id),
    `Film ${id} ${(id * 2_654_435_761) % 1_000_003}`,
    votes,
  ];
  const write = (op: Op, from: number, count: number, step: number, votes: number) => {
    const events = Array.from({ length: count }, (_, index) => {
      const after = film((from + index * step) % rows, votes);
      return { op, before: null, after, tx: 0 };
    });
    return sink.write(
      { table: source, schema, events, transactions: [{ id: '1', position: '0/1', timeMicros: 0n }] },
      signal,
    );
  };

  const snapshotAt = performance.now();
  await sink.beginSnapshot(source, schema, signal);
  for (let from = 0; from < rows; from += 10_000) await write('r', from, Math.min(10_000, rows - from), 1, 0);
  await sink.endSnapshot(source, signal);
  await commit();
  const snapshotMs = performance.now() - snapshotAt;
  // The first change builds the index.
  await write('u', 0, 1, 1, 1);
  await commit();
  const commits: number[] = [];
  const requests: number[] = [];
  for (let round = 1; round <= 7; round++) {
    const [startedAt, seen] = [performance.now(), proxy.seen.length];
    await write('u', round * 7919, changes, 97, round);
    await commit();
    commits.push(performance.now() - startedAt);
    requests.push(proxy.seen.length - seen);
  }
  await sink.close();

  storage.close();
  fs.rmSync(cacheFolder, { recursive: true, force: true });
  storage = await open();
  const queries = new QueryService({ state: product.state, catalog, resultsDir: path.join(product.home, 'results') });
  const query = async () => {
    const startedAt = performance.now();
    const { id } = await queries.submit({ sql: cold, origin: 'api' }, system);
    const { state, error } = await queries.wait(id, system, AbortSignal.timeout(300_000));
    if (state !== 'succeeded') throw new Error(`the query ${state}: ${JSON.stringify(error)}`);
    return performance.now() - startedAt;
  };
  const coldMs = await query();
  const warm = [await query(), await query(), await query()];
  await queries.close();
  const figures = {
    rows,
    'rows/s of the snapshot': Math.round(rows / (snapshotMs / 1000)),
    [`commit of ${changes} changes, median ms`]: Math.round(percentile(commits, 0.5)),
    'requests a commit': Math.round(percentile(requests, 0.5)),
    'query with an empty cache ms': Math.round(coldMs),
    'query from the cache, median ms': Math.round(percentile(warm, 0.5)),
    machine: `${os.cpus().length} × ${os.cpus()[0]?.model}`,
  };
  console.log(JSON.stringify({ [name]: figures }, null, 2));
}

async function forgetTable({ state }: BenchProduct): Promise<void> {
  await state.icebergTable.deleteMany({});
}
