import { system } from '#catalog/access/principal.ts';
import { listPipelines } from '#catalog/services/pipeline/list.ts';
import { summarizeTables } from '#catalog/services/table/list.ts';
import type { Route } from '../route.ts';

type Labels = Record<string, string>;
type Sample = [labels: Labels, value: number];

/** Prometheus text, open to whoever reaches the port: names and figures, no values. */
export const metricsRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/metrics',
    async handle({ deps }) {
      const { state } = deps;
      const [sources, warnings, pipelines, tables, queries, runs] = await Promise.all([
        state.source.findMany({ select: { name: true, state: true, coveredAt: true } }),
        state.sourceWarning.findMany({ select: { sourceName: true, code: true } }),
        listPipelines({ state, who: system }),
        summarizeTables(state),
        state.query.groupBy({ by: ['state'], _count: true }),
        state.reportRun.groupBy({ by: ['state'], _count: true }),
      ]);
      const now = deps.now().getTime();
      const age = (at: Date | null) => (at === null ? Number.NaN : Math.max(0, (now - at.getTime()) / 1000));
      const memory = process.memoryUsage();
      const families = [
        family(
          'dailies_source_state',
          'gauge',
          '1 for the state that the source is in',
          sources.map(({ name, state }) => [{ source: name, state }, 1]),
        ),
        family(
          'dailies_source_covered_age_seconds',
          'gauge',
          'Since all that was committed at the source was last known to be held',
          sources.map(({ name, coveredAt }) => [{ source: name }, age(coveredAt)]),
        ),
        family(
          'dailies_source_warning',
          'gauge',
          '1 for each warning of the source that holds now',
          warnings.map(({ sourceName, code }) => [{ source: sourceName, code }, 1]),
        ),
        family(
          'dailies_pipeline_state',
          'gauge',
          '1 for the state that the pipeline is in',
          pipelines.map(({ name, state }) => [{ pipeline: name, state }, 1]),
        ),
        family(
          'dailies_pipeline_lag_seconds',
          'gauge',
          'Age of what the pipeline has landed',
          pipelines.map(({ name, freshAsOf }) => [{ pipeline: name }, age(freshAsOf)]),
        ),
        family(
          'dailies_pipeline_events_per_second',
          'gauge',
          'Events that flow in now',
          pipelines.map(({ name, eventsPerSecond }) => [{ pipeline: name }, eventsPerSecond]),
        ),
        family(
          'dailies_pipeline_events_total',
          'counter',
          'Events in, out and rejected',
          pipelines.flatMap(({ name, eventsIn, eventsOut, eventsRejected }): Sample[] => [
            [{ pipeline: name, direction: 'in' }, eventsIn],
            [{ pipeline: name, direction: 'out' }, eventsOut],
            [{ pipeline: name, direction: 'rejected' }, eventsRejected],
          ]),
        ),
        family(
          'dailies_pipeline_dead_letters',
          'gauge',
          'Events that nobody has dealt with',
          pipelines.map(({ name, deadLetters }) => [{ pipeline: name }, deadLetters]),
        ),
        family(
          'dailies_table_rows',
          'gauge',
          'Rows that the table holds',
          tables.map(({ name, rows }) => [{ table: name }, rows]),
        ),
        family(
          'dailies_table_age_seconds',
          'gauge',
          'Since the instant that the table is fresh as of',
          tables.map(({ name, freshAsOf }) => [{ table: name }, age(freshAsOf)]),
        ),
        family(
          'dailies_queries_total',
          'counter',
          'Queries by state',
          queries.map(({ state, _count }) => [{ state }, _count]),
        ),
        family(
          'dailies_report_runs_total',
          'counter',
          'Report runs by state',
          runs.map(({ state, _count }) => [{ state }, _count]),
        ),
        family('process_resident_memory_bytes', 'gauge', 'Of the web process', [[{}, memory.rss]]),
        family('process_uptime_seconds', 'gauge', 'Of the web process', [[{}, process.uptime()]]),
      ];
      return new Response(families.join(''), {
        headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
      });
    },
  },
];

function family(name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]): string {
  const lines = samples.map(([labels, value]) => `${name}${labelText(labels)} ${Number.isNaN(value) ? 'NaN' : value}`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.map((line) => `${line}\n`).join('')}`;
}

function labelText(labels: Labels): string {
  const entries = Object.entries(labels);
  if (entries.length === 0) return '';
  const quoted = (text: string) => text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
  return `{${entries.map(([key, value]) => `${key}="${quoted(value)}"`).join(',')}}`;
}
