import { requireAccess } from '../access/principal.ts';
import { DailiesError } from '../error.ts';
import type { Scope } from '../services/scope.ts';

export interface LineageNode {
  /** `<kind>:<name>`, unique in one graph. */
  id: string;
  kind: 'source-table' | 'pipeline' | 'table' | 'report' | 'destination';
  name: string;
  /** State of a pipeline, kind of a destination. */
  detail: string | null;
}

export interface Lineage {
  nodes: LineageNode[];
  /** Data flows from `from` to `to`; both are node ids. */
  edges: { from: string; to: string }[];
}

/** Where a table comes from and where it goes: source tables → pipeline → table → reports → destinations. */
export async function tableLineage(scope: Scope, name: string): Promise<Lineage> {
  requireAccess(scope.who, 'catalog.read', 'see the catalog');
  const { state } = scope;
  const [table, reports] = await Promise.all([
    state.dataTable.findUnique({ where: { name }, select: { name: true, pipeline: true, sources: true } }),
    state.report.findMany({ where: { reads: { has: name } }, orderBy: { name: 'asc' } }),
  ]);
  if (table === null) throw new DailiesError('not_found', `There is no table ${name}.`, { details: { table: name } });
  const pipeline =
    table.pipeline === null ? null : await state.pipeline.findUnique({ where: { name: table.pipeline } });

  const nodes = new Map<string, LineageNode>();
  const edges: Lineage['edges'] = [];
  const node = (kind: LineageNode['kind'], label: string, detail: string | null = null): string => {
    const id = `${kind}:${label}`;
    if (!nodes.has(id)) nodes.set(id, { id, kind, name: label, detail });
    return id;
  };
  const self = node('table', table.name);
  const filler = pipeline === null ? null : node('pipeline', pipeline.name, pipeline.state);
  if (filler !== null) edges.push({ from: filler, to: self });
  for (const source of table.sources) edges.push({ from: node('source-table', source), to: filler ?? self });
  for (const report of reports) {
    const id = node('report', report.name, report.isPaused ? 'paused' : null);
    edges.push({ from: self, to: id });
    for (const delivery of report.deliveries as unknown as Record<string, unknown>[]) {
      edges.push({
        from: id,
        to: node('destination', `${report.name} → ${destinationName(delivery)}`, String(delivery.kind)),
      });
    }
  }
  return { nodes: [...nodes.values()], edges };
}

function destinationName(delivery: Record<string, unknown>): string {
  const { kind, credentials, mode, key, format, ...place } = delivery;
  const where = Object.values(place).map(String).join(' / ');
  return where === '' ? String(kind) : where;
}
