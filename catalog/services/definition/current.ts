import type { Transaction } from '../../audit/record-audit.ts';
import type { Definition, ModuleEntry, PipelineSpec, ReportSpec } from './schema.ts';

/** The definition of what runs now, secrets as references. */
export async function currentDefinition(
  state: Pick<Transaction, 'source' | 'pipeline' | 'report' | 'person'>,
): Promise<Definition> {
  const byName = { orderBy: { name: 'asc' } } as const;
  const [sources, pipelines, reports, people] = await Promise.all([
    state.source.findMany({ ...byName, select: { name: true, kind: true, spec: true } }),
    state.pipeline.findMany({ ...byName, select: { name: true, spec: true } }),
    state.report.findMany(byName),
    state.person.findMany({ orderBy: { email: 'asc' } }),
  ]);
  return {
    sources: Object.fromEntries(sources.map((source) => [source.name, source.spec as ModuleEntry])),
    pipelines: Object.fromEntries(
      pipelines.map((pipeline) => [pipeline.name, pipeline.spec as unknown as PipelineSpec]),
    ),
    reports: Object.fromEntries(reports.map((report) => [report.name, reportSpec(report)])),
    people: Object.fromEntries(people.map((person) => [person.email, { roles: person.roles }])),
  };
}

function reportSpec(report: {
  owner: string;
  title: string | null;
  sql: string;
  parameters: unknown;
  schedule: unknown;
  deliveries: unknown;
}): ReportSpec {
  return {
    owner: report.owner,
    ...(report.title === null ? {} : { title: report.title }),
    sql: report.sql,
    parameters: report.parameters as ReportSpec['parameters'],
    ...(report.schedule === null ? {} : { schedule: report.schedule as NonNullable<ReportSpec['schedule']> }),
    deliveries: report.deliveries as ReportSpec['deliveries'],
  };
}
