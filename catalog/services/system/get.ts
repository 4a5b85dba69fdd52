import { opendir, stat } from 'node:fs/promises';
import path from 'node:path';
import { requireAccess } from '../../access/principal.ts';
import { filePath } from '../../iceberg/storage/location.ts';
import { isS3 } from '../../iceberg/storage/s3-location.ts';
import type { Scope } from '../scope.ts';

export type SystemPart = 'warehouse' | 'cache' | 'log' | 'index' | 'results' | 'postgres' | 'studio';

export interface SystemOverview {
  /** Absolute path of the home folder. */
  home: string;
  /** Bytes that each part holds; parts that are not on this machine are left out. */
  disk: { part: SystemPart; bytes: number }[];
  /** Of this process. */
  upSeconds: number;
  /** Connections that the state database serves. */
  connections: number;
  versions: { name: string; version: string }[];
}

/** What this machine holds and runs. Walks the home folder: some tens of milliseconds for 10,000 files. */
export async function getSystem(scope: Scope & { home: string; warehouse: string | null }): Promise<SystemOverview> {
  requireAccess(scope.who, 'admin', 'see the system');
  const { state, home, warehouse } = scope;
  const folders: [SystemPart, string][] = [
    ...(warehouse === null || isS3(warehouse)
      ? []
      : [['warehouse', filePath(warehouse)] satisfies [SystemPart, string]]),
    ...(['cache', 'log', 'index', 'results', 'postgres', 'studio'] as const).map((part): [SystemPart, string] => [
      part,
      path.join(home, part),
    ]),
  ];
  const [[database], ...sizes] = await Promise.all([
    state.$queryRaw<{ version: string; connections: bigint }[]>`
      SELECT current_setting('server_version') AS version,
             (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS connections`,
    ...folders.map(([, folder]) => folderBytes(folder)),
  ]);
  return {
    home,
    disk: folders.flatMap(([part], index) => {
      const bytes = sizes[index] ?? null;
      return bytes === null ? [] : [{ part, bytes }];
    }),
    upSeconds: Math.round(process.uptime()),
    connections: Number(database?.connections ?? 0),
    versions: [
      { name: 'Node', version: process.versions.node },
      { name: 'Postgres', version: database?.version ?? 'unknown' },
    ],
  };
}

/** Bytes of all files below; null where the folder is not there or may not be read (Postgres may run as another user). */
async function folderBytes(folder: string): Promise<number | null> {
  let total = 0;
  try {
    for await (const entry of await opendir(folder, { recursive: true })) {
      if (!entry.isFile()) continue;
      total += await fileBytes(path.join(entry.parentPath, entry.name));
    }
  } catch (error) {
    if (isGone(error)) return total === 0 ? null : total;
    throw error;
  }
  return total;
}

/** Files come and go while we look. */
async function fileBytes(file: string): Promise<number> {
  try {
    const { blocks, size } = await stat(file);
    return Math.min(blocks * 512, size);
  } catch (error) {
    if (isGone(error)) return 0;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'EACCES' || code === 'EPERM' || code === 'ENOTDIR';
}
