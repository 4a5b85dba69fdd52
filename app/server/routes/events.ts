import { requireAccess } from '#catalog/access/principal.ts';
import { DailiesError } from '#catalog/error.ts';
import { json, readText } from '../http-message.ts';
import { sendToIntake } from '../intake-socket.ts';
import { type Route, scopeOf } from '../route.ts';

const maxBytes = 16 << 20;

/** Where programs send the events of a source of the kind `producer`. */
export const eventRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/api/v1/sources/:source/:table/events',
    async handle(call) {
      const { request, params, deps } = call;
      const { who, state } = scopeOf(call);
      requireAccess(who, 'pipeline.write', 'send events');
      const { source = '', table = '' } = params;
      const known = await state.source.findUnique({ where: { name: source }, select: { kind: true } });
      if (known === null) {
        throw new DailiesError('not_found', `There is no source ${source}.`, { details: { source } });
      }
      if (known.kind !== 'producer') {
        throw new DailiesError(
          'unsupported',
          `The source ${source} reads a ${known.kind} by itself; only a source of the kind producer takes events.`,
        );
      }
      const producer = producerOf(request.headers);
      const body = await readText(request, maxBytes);
      const { position, events, isRepeat } = await sendToIntake(deps.environment.home, source, {
        table,
        body,
        producer,
      });
      return json({ position, events }, 202, isRepeat ? { 'producer-repeat': 'true' } : {});
    },
  },
];

function producerOf(headers: Headers): { id: string; sequence: bigint } | null {
  const id = headers.get('producer-id');
  const sequence = headers.get('producer-sequence');
  if (id === null && sequence === null) return null;
  if (id === null || sequence === null) {
    throw new DailiesError('invalid', 'Producer-Id and Producer-Sequence belong together: send both or neither.');
  }
  if (!/^[\x21-\x7e]{1,200}$/.test(id)) {
    throw new DailiesError('invalid', 'Producer-Id must be 1 to 200 letters, digits and signs without blanks.');
  }
  if (!/^\d{1,18}$/.test(sequence)) {
    throw new DailiesError('invalid', 'Producer-Sequence must be a whole number, one more for each request.');
  }
  return { id, sequence: BigInt(sequence) };
}
