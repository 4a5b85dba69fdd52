import { parseArgs } from 'node:util';
import { watchParent } from '#catalog/state/watch-parent.ts';
import { type Studio, startStudio } from './studio.ts';

/**
 * The sample studio as a process of its own: `main.ts --home DIR [--rate N] [--fresh]`. When everything answers it tells its
 * parent so, over the channel between the two if there is one, else as one line `{"ready": …}` on stdout. It ends on SIGTERM
 * and with its parent.
 */
async function main(): Promise<void> {
  watchParent();
  const { values } = parseArgs({
    options: {
      home: { type: 'string' },
      rate: { type: 'string', default: '5' },
      fresh: { type: 'boolean', default: false },
    },
  });
  const rate = Number(values.rate);
  if (values.home === undefined || !Number.isFinite(rate) || rate < 0)
    throw new Error('usage: --home DIR [--rate CHANGES_PER_SECOND] [--fresh]');
  const studio = await startStudio({
    home: values.home,
    rate,
    fresh: values.fresh,
    log: (line) => console.error(line),
  });
  const end = async (code: number) => {
    await studio.close();
    process.exit(code);
  };
  process.once('SIGTERM', () => end(0));
  // Ctrl-C reaches the whole group of processes; when to end is for a supervisor to say, if there is one.
  process.on('SIGINT', () => (process.send === undefined ? end(0) : undefined));
  studio.ended.then((reason) => {
    console.error(reason);
    return end(1);
  });
  tellReady(studio);
}

function tellReady({ databases, edge, sheets, airtable, env }: Studio): void {
  const ready = { databases, edge, sheets, airtable, env };
  if (process.send !== undefined) process.send({ kind: 'ready', detail: JSON.stringify(ready) });
  else console.log(JSON.stringify({ ready }));
}

main().catch((error: unknown) => {
  const message = `The sample studio did not start: ${error instanceof Error ? error.message : String(error)}`;
  process.exitCode = 1;
  if (process.send === undefined) console.error(message);
  else process.send({ kind: 'failed', message }, () => process.exit(1));
});
