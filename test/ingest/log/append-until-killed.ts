import { EmbeddedLog } from '#ingest/log/embedded-log.ts';

// Appends to the log at the given path, several at once, and prints each offset once its append has resolved.
const [, , path = ''] = process.argv;
const log = new EmbeddedLog({ path });
const schema = { fields: [{ name: 'id', type: { kind: 'int' as const }, required: true }], key: ['id'] };
let id = (await log.extent('s')).next;

async function appendAll(): Promise<void> {
  for (;;) {
    const after = [id];
    id += 1;
    const event = { op: 'c' as const, before: null, after, tx: 0 };
    const transactions = [{ id: 't', position: 'p', timeMicros: 0n }];
    const items = [
      { kind: 'changes' as const, changes: { table: 's.public.t', schema, events: [event], transactions } },
    ];
    const [offset] = await log.append('s', [{ items, position: `0/${id}`, timeMicros: 0n, isComplete: true }]);
    process.stdout.write(`${offset}\n`);
  }
}
await Promise.all(Array.from({ length: 4 }, appendAll));
