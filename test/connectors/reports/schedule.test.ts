import { describe, expect, it } from 'vitest';
import { dueSlot, nextSlots } from '#connectors/reports/schedule.ts';

function instants(cron: string, zone: string, after: string, count: number): string[] {
  return nextSlots({ cron, zone }, new Date(after), count).map((slot) => slot.toISOString().slice(0, 16));
}

describe('a schedule in a zone with summer time', () => {
  it('keeps the local time over the change', () => {
    expect(instants('0 9 * * 1-5', 'America/Los_Angeles', '2026-03-06T00:00:00Z', 3)).toEqual([
      '2026-03-06T17:00',
      '2026-03-09T16:00',
      '2026-03-10T16:00',
    ]);
  });

  it('runs a time that the change skips at the first instant after it, once', () => {
    expect(instants('30 2 * * *', 'America/Los_Angeles', '2026-03-07T12:00:00Z', 2)).toEqual([
      '2026-03-08T10:00',
      '2026-03-09T09:30',
    ]);
  });

  it('runs a time that comes twice once', () => {
    expect(instants('30 1 * * *', 'America/Los_Angeles', '2026-10-31T12:00:00Z', 2)).toEqual([
      '2026-11-01T08:30',
      '2026-11-02T09:30',
    ]);
    expect(instants('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2)).toEqual([
      '2026-10-25T00:30',
      '2026-10-26T01:30',
    ]);
  });

  it('runs every half hour of real time where it says so', () => {
    expect(instants('*/30 * * * *', 'America/Los_Angeles', '2026-11-01T07:45:00Z', 6)).toEqual([
      '2026-11-01T08:00',
      '2026-11-01T08:30',
      '2026-11-01T09:00',
      '2026-11-01T09:30',
      '2026-11-01T10:00',
      '2026-11-01T10:30',
    ]);
  });

  it('has a midnight where the change takes it away', () => {
    expect(instants('0 0 * * *', 'America/Havana', '2026-03-07T12:00:00Z', 2)).toEqual([
      '2026-03-08T05:00',
      '2026-03-09T04:00',
    ]);
  });
});

describe('what is due', () => {
  const daily = { cron: '0 9 * * *', zone: 'Etc/UTC' };

  it('is nothing before the instant, and it from then on', () => {
    const since = new Date('2026-05-01T10:00:00Z');
    expect(dueSlot(daily, since, new Date('2026-05-02T08:59:59Z'))).toBeNull();
    expect(dueSlot(daily, since, new Date('2026-05-02T09:00:00Z'))).toEqual(new Date('2026-05-02T09:00:00Z'));
  });

  it('is one run for all that was missed', () => {
    const everyMinute = { cron: '* * * * *', zone: 'Etc/UTC' };
    expect(dueSlot(everyMinute, new Date('2026-05-01T10:00:30Z'), new Date('2026-05-01T14:00:30Z'))).toEqual(
      new Date('2026-05-01T14:00:00Z'),
    );
  });
});

it('says what is wrong with a schedule', () => {
  expect(() => nextSlots({ cron: '61 * * * *', zone: 'Etc/UTC' }, new Date(), 1)).toThrow('is not a schedule');
  expect(() => nextSlots({ cron: '0 9 * * *', zone: 'Mars/Olympus' }, new Date(), 1)).toThrow('Mars/Olympus');
});
