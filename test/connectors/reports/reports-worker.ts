import { openState } from '#catalog/state/state.ts';
import { destinations } from '#connectors/modules.ts';
import { startReports } from '#connectors/reports/start-reports.ts';

// A worker process of its own that runs reports until it is killed: what a query answers is made up of numbers.
const { STATE_URL = '', GOOGLE_URL = '', GOOGLE_KEY = '', ROWS = '0' } = process.env;
const rows = Array.from({ length: Number(ROWS) }, (_, at) => [BigInt(at), `film ${at}`]);

await startReports({
  state: openState(STATE_URL, 5),
  databaseUrl: STATE_URL,
  queries: {
    submit: async () => ({ id: 'q' }),
    wait: async () => ({ state: 'succeeded', rowCount: rows.length, error: null }),
    cancel: async () => {},
    readBatches: async () => ({
      columns: [
        { name: 'id', type: { kind: 'long' } },
        { name: 'title', type: { kind: 'string' } },
      ],
      batches: (async function* () {
        yield rows;
      })(),
    }),
    resultFile: () => Promise.reject(new Error('no file was expected')),
  },
  destinations,
  home: '/nowhere',
  googleUrl: GOOGLE_URL,
  airtableUrl: null,
  resolveSecrets: async (spec) =>
    JSON.parse(JSON.stringify(spec).replace('"${secret:google}"', JSON.stringify(GOOGLE_KEY))),
  log: () => {},
});
process.send?.('ready');
