import {
  IconAlertTriangle,
  IconCircleCheck,
  IconCircleDashed,
  IconCircleX,
  IconClock,
  IconPlayerPause,
  IconProgress,
} from '@tabler/icons-react';
import css from './state-badge.module.css';

type Tone = 'good' | 'warn' | 'bad' | 'busy' | 'calm';

/** Every state that the product tells of, with its word, its tone and its sign: colour never says it alone. */
const states: Record<string, { word: string; tone: Tone; icon: typeof IconClock }> = {
  running: { word: 'Running', tone: 'good', icon: IconCircleCheck },
  snapshotting: { word: 'Copying', tone: 'busy', icon: IconProgress },
  paused: { word: 'Paused', tone: 'warn', icon: IconPlayerPause },
  failed: { word: 'Failed', tone: 'bad', icon: IconCircleX },
  queued: { word: 'Waiting', tone: 'calm', icon: IconCircleDashed },
  succeeded: { word: 'Done', tone: 'good', icon: IconCircleCheck },
  partial: { word: 'Done in part', tone: 'warn', icon: IconAlertTriangle },
  cancelled: { word: 'Cancelled', tone: 'calm', icon: IconCircleX },
  fresh: { word: 'Fresh', tone: 'good', icon: IconCircleCheck },
  behind: { word: 'Behind', tone: 'warn', icon: IconClock },
  stale: { word: 'Stale', tone: 'bad', icon: IconAlertTriangle },
  delivering: { word: 'Running', tone: 'busy', icon: IconProgress },
  unknown: { word: 'Not known', tone: 'calm', icon: IconCircleDashed },
};

export function StateBadge({ state, word }: { state: string; word?: string | undefined }) {
  const shown = states[state] ?? { word: state, tone: 'calm' as const, icon: IconCircleDashed };
  const Icon = shown.icon;
  return (
    <span className={css.badge} data-tone={shown.tone}>
      <Icon size={14} stroke={2} aria-hidden />
      {word ?? shown.word}
    </span>
  );
}

/** The same for a run of a report or a query, which is not well yet while it runs. */
export function RunBadge({ state }: { state: string }) {
  return <StateBadge state={state === 'running' ? 'delivering' : state} />;
}
