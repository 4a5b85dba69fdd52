import type {
  BinlogBegin,
  BinlogEnd,
  BinlogItem,
  BinlogQuery,
  BinlogRows,
} from '#ingest/sources/mysql/binlog/binlog-item.ts';
import { type BinlogOptions, openBinlog } from '#ingest/sources/mysql/binlog/binlog-stream.ts';
import { parseGtidSet } from '#ingest/sources/mysql/binlog/gtid.ts';
import type { TestMariadb } from '#test/fixtures/mariadb.ts';

let lastServerId = 1_000;

/** Reads `server`'s log as a replica of its own. */
export async function openReader(server: TestMariadb, options: Partial<BinlogOptions> = {}) {
  lastServerId += 1;
  return openBinlog(
    {
      flavor: 'mariadb',
      server: { host: '127.0.0.1', port: server.port, user: 'root', password: '', tls: null },
      serverId: lastServerId,
      from: '',
      heartbeatMs: 500,
      wants: () => true,
      ...options,
    },
    new AbortController().signal,
  );
}

/** Where the server's log ends now, as text of a GTID set. */
export async function endOf(server: TestMariadb): Promise<string> {
  const [row] = await server.query('SELECT @@global.gtid_binlog_pos AS position');
  return String(row?.position ?? '');
}

/** Everything from `from` to where the log ends now, but for what a server says while it has nothing to tell. */
export async function readAll(server: TestMariadb, options: Partial<BinlogOptions> = {}): Promise<BinlogItem[]> {
  const end = parseGtidSet('mariadb', await endOf(server));
  const stream = await openReader(server, options);
  try {
    const items: BinlogItem[] = [];
    let position = parseGtidSet('mariadb', options.from ?? '');
    while (!position.contains(end)) {
      const read = await stream.read();
      if (read === null) throw new Error('the stream was closed');
      items.push(...read.filter(({ kind }) => kind !== 'idle'));
      position = parseGtidSet('mariadb', positionOf(read) ?? position.toString());
    }
    return items;
  } finally {
    await stream.close();
  }
}

/** The position after the last transaction that has ended. */
export function positionOf(items: readonly BinlogItem[]): string | null {
  const end = items.findLast((item) => 'position' in item);
  return end !== undefined && 'position' in end ? end.position : null;
}

export function rowsOf(items: readonly BinlogItem[], table?: string): BinlogRows[] {
  return items
    .filter((item) => item.kind === 'rows')
    .filter((item) => table === undefined || item.table.name === table);
}

export function queriesOf(items: readonly BinlogItem[]): BinlogQuery[] {
  return items.filter((item) => item.kind === 'query');
}

export function beginsOf(items: readonly BinlogItem[]): BinlogBegin[] {
  return items.filter((item) => item.kind === 'begin');
}

export function endsOf(items: readonly BinlogItem[]): BinlogEnd[] {
  return items.flatMap((item) =>
    item.kind === 'commit' || item.kind === 'rollback' || item.kind === 'prepare' ? [item] : [],
  );
}
