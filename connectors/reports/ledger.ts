import type { State } from '#catalog/state/state.ts';
import type { Ledger } from '../deliver.ts';

const rowsPerStatement = 5_000;

/** What one report gave one target, in `DeliveredRow`. */
export function openLedger(state: State, reportName: string, target: string): Ledger {
  return {
    async read() {
      const rows = await state.deliveredRow.findMany({ where: { reportName, target } });
      return new Map(
        rows.map((row) => [
          row.key,
          { fingerprint: Buffer.from(row.fingerprint).toString('base64url'), remoteId: row.remoteId },
        ]),
      );
    },
    async record(done) {
      for (let at = 0; at < done.length; at += rowsPerStatement) {
        const part = done.slice(at, at + rowsPerStatement);
        const keys = part.map((row) => row.key);
        const fingerprints = part.map((row) => Buffer.from(row.fingerprint, 'base64url').toString('hex'));
        const remoteIds = part.map((row) => row.remoteId);
        await state.$executeRaw`
          INSERT INTO "DeliveredRow" ("reportName", target, key, fingerprint, "remoteId")
          SELECT ${reportName}, ${target}, key, decode(fingerprint, 'hex'), "remoteId"
          FROM unnest(${keys}::text[], ${fingerprints}::text[], ${remoteIds}::text[]) AS given (key, fingerprint, "remoteId")
          ON CONFLICT ("reportName", target, key)
          DO UPDATE SET fingerprint = excluded.fingerprint, "remoteId" = coalesce(excluded."remoteId", "DeliveredRow"."remoteId")`;
      }
    },
    async forget(keys) {
      for (let at = 0; at < keys.length; at += rowsPerStatement) {
        const part = keys.slice(at, at + rowsPerStatement);
        await state.deliveredRow.deleteMany({ where: { reportName, target, key: { in: part } } });
      }
    },
  };
}
