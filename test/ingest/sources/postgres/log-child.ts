// Follows the tables of a database into a log, in a process of its own, whose memory is measured.
// Arguments: address, name of the source, folder of the log. Tells its parent of each complete batch with events.
import fs from 'node:fs';
import { toDailiesError } from '#catalog/error.ts';
import { EmbeddedLog } from '#ingest/log/embedded-log.ts';
import { openSource, requestFor } from './follower.ts';
import type { LogChildReport } from './log-process.ts';

const [url = '', name = '', folder = ''] = process.argv.slice(2);
const maxPendingBytes = 16 << 20;
let peakBytes = 0;

/** Without what is mapped from files, where the system tells it apart. */
function sample(): void {
  const status = fs.existsSync('/proc/self/status') ? fs.readFileSync('/proc/self/status', 'utf8') : '';
  const anonymous = /RssAnon:\s+(\d+)/.exec(status)?.[1];
  peakBytes = Math.max(peakBytes, anonymous === undefined ? process.memoryUsage.rss() : Number(anonymous) * 1024);
}

setInterval(sample, 10);
const log = new EmbeddedLog({ path: folder });
const source = openSource(url, name);
let appended: Promise<unknown> = Promise.resolve();
let events = 0;
let position = '';
try {
  for await (const batch of source.changes(await requestFor(source, null), new AbortController().signal)) {
    for (const item of batch.items) if (item.kind === 'changes') events += item.changes.events.length;
    appended = Promise.all([appended, log.append(name, [batch])]);
    if (log.pendingBytes(name) > maxPendingBytes) await appended;
    if (!batch.isComplete) continue;
    await appended;
    sample();
    position = batch.position;
    await source.ack(position);
    report({ events, position, peakBytes, cpuSeconds: cpuSeconds(), failure: null });
  }
} catch (error) {
  const failure = toDailiesError(error).toJSON();
  report({ events, position, peakBytes, cpuSeconds: cpuSeconds(), failure });
}

function report(message: LogChildReport): void {
  process.send?.(message);
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
