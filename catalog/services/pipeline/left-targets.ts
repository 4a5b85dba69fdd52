import { z } from 'zod';
import type { Transaction } from '../../audit/record-audit.ts';
import type { State } from '../../state/state.ts';
import { asJson } from '../../state/stored-json.ts';

/*
 * Targets that a pipeline writes no more, since it was removed or changed: what nobody has ever seen of them goes. The note
 * stands in the state, so that it outlives the pipeline and a worker that is down.
 */
const prefix = 'targets-left:';

const leftTarget = z.object({
  kind: z.string(),
  target: z.string(),
  /** Where its files are, once it is on its way out. */
  location: z.string().optional(),
});

const note = z.object({ pipeline: z.string(), targets: z.array(leftTarget) });

type LeftTarget = z.infer<typeof leftTarget>;
export type LeftTargets = z.infer<typeof note>;

/** Notes that the pipeline has left these targets, with the change that makes it so. */
export async function noteLeftTargets(
  tx: Transaction,
  pipeline: string,
  left: readonly { kind: string; target: string }[],
): Promise<void> {
  if (left.length === 0) return;
  const key = `${prefix}${pipeline}`;
  const known = await tx.setting.findUnique({ where: { key } });
  const before = known ? note.parse(known.value).targets : [];
  const fresh = left.filter(({ kind, target }) => !before.some((each) => each.kind === kind && each.target === target));
  const value = asJson({ pipeline, targets: [...before, ...fresh.map(({ kind, target }) => ({ kind, target }))] });
  await tx.setting.upsert({ where: { key }, create: { key, value }, update: { value } });
}

export async function leftTargets(state: State): Promise<LeftTargets[]> {
  const rows = await state.setting.findMany({ where: { key: { startsWith: prefix } } });
  return rows.map(({ value }) => note.parse(value));
}

/** Forgets one, or notes more of it: `news` is null once it is gone. */
export async function updateLeftTarget(
  state: State,
  pipeline: string,
  { kind, target }: LeftTarget,
  news: LeftTarget | null,
): Promise<void> {
  const key = `${prefix}${pipeline}`;
  await state.$transaction(async (tx) => {
    const row = await tx.setting.findUnique({ where: { key } });
    if (!row) return;
    const targets = note
      .parse(row.value)
      .targets.flatMap((each) => (each.kind !== kind || each.target !== target ? [each] : news ? [news] : []));
    if (targets.length === 0) await tx.setting.delete({ where: { key } });
    else await tx.setting.update({ where: { key }, data: { value: asJson({ pipeline, targets }) } });
  });
}
