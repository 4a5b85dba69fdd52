import { requireAccess } from '../../access/principal.ts';
import { recordAudit } from '../../audit/record-audit.ts';
import { DailiesError, type ErrorRecord } from '../../error.ts';
import { nearestName } from '../nearest-name.ts';
import { notifyChanged, type Scope } from '../scope.ts';

/**
 * Asks the worker for a new snapshot of one table of a source (schema.table, with or without the source's name before it),
 * or of all of them. Tables stay as they are until its rows come; one whose snapshot is under way is taken again once that
 * has ended. Durable when resolved, with the tables that are asked for. Throws `not_found` for a name that is not there,
 * `conflict` for a table that is set aside, `unsupported` for a source that keeps no rows (`hasSnapshots`).
 */
export async function snapshotSource(
  scope: Scope,
  name: string,
  table: string | null,
  hasSnapshots: (kind: string) => boolean,
): Promise<string[]> {
  requireAccess(scope.who, 'pipeline.write', 'take snapshots');
  return await scope.state.$transaction(async (tx) => {
    const source = await tx.source.findUnique({ where: { name }, include: { tables: { orderBy: { name: 'asc' } } } });
    if (!source) {
      const names = (await tx.source.findMany({ select: { name: true } })).map((each) => each.name);
      throw notFound(`There is no source ${name}.`, nearestName(name, names), { source: name });
    }
    if (!hasSnapshots(source.kind)) {
      throw new DailiesError('unsupported', `${name} is sent its events: it keeps no rows that could be read again.`, {
        details: { source: name },
      });
    }
    const wanted = table === null ? null : ownPart(name, table);
    const chosen = source.tables.filter((each) => wanted === null || each.name === wanted);
    if (wanted !== null && chosen.length === 0) {
      const near = nearestName(
        wanted,
        source.tables.map((each) => each.name),
      );
      throw notFound(`${name} follows no table ${wanted}.`, near, { source: name, table: wanted });
    }
    const [aside] = chosen.filter((each) => each.state === 'failed');
    if (aside && wanted !== null) {
      const reason = (aside.lastError as ErrorRecord | null)?.message ?? 'its reason is not known';
      throw new DailiesError('conflict', `${name}.${wanted} is set aside: ${reason}`, {
        details: { source: name, table: wanted },
      });
    }
    const names = chosen.filter((each) => each.state !== 'failed').map((each) => each.name);
    await tx.sourceTable.updateMany({
      where: { sourceName: name, name: { in: names } },
      // The next generation: a snapshot that the log holds, whole or not, is not the one asked for.
      data: { state: 'snapshotting', generation: { increment: 1 } },
    });
    await recordAudit(tx, scope.who, 'source.snapshot', wanted === null ? name : `${name}.${wanted}`);
    await notifyChanged(tx);
    return names;
  });
}

function ownPart(source: string, table: string): string {
  return table.startsWith(`${source}.`) && table.split('.').length > 2 ? table.slice(source.length + 1) : table;
}

function notFound(sentence: string, near: string | null, details: Record<string, string>): DailiesError {
  return new DailiesError('not_found', near === null ? sentence : `${sentence} Did you mean ${near}?`, { details });
}
