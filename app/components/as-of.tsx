'use client';

import { Button, Group, Popover, Stack, TextInput } from '@mantine/core';
import { IconClock } from '@tabler/icons-react';
import { type FormEvent, useState } from 'react';

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** As of which state the tables are read: now, an instant (ISO 8601) in the past, or a tag, branch or snapshot id. */
export function AsOf({ value, onChange }: { value: string | null; onChange(value: string | null): void }) {
  const [isOpen, setOpen] = useState(false);
  const time = value === null ? null : instantOf(value);
  function pick(next: string | null) {
    onChange(next);
    setOpen(false);
  }
  return (
    <Popover opened={isOpen} onChange={setOpen} position="bottom-start" shadow="md" trapFocus>
      <Popover.Target>
        <Button leftSection={<IconClock size={14} aria-hidden />} onClick={() => setOpen(!isOpen)}>
          {value === null ? 'as of now' : `as of ${time === null ? value : exact.format(time)}`}
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <Stack gap={8}>
          <Group gap={6}>
            <Button size="compact-sm" onClick={() => pick(null)}>
              Now
            </Button>
            {[
              { label: '5 min ago', ms: 300_000 },
              { label: '1 h ago', ms: 3_600_000 },
              { label: '1 day ago', ms: 86_400_000 },
            ].map(({ label, ms }) => (
              <Button key={label} size="compact-sm" onClick={() => pick(new Date(Date.now() - ms).toISOString())}>
                {label}
              </Button>
            ))}
          </Group>
          <TextInput
            type="datetime-local"
            step={1}
            label="At"
            description={`In your zone, ${Intl.DateTimeFormat().resolvedOptions().timeZone}`}
            value={time === null ? '' : localText(time)}
            onChange={(event) => {
              const at = new Date(event.currentTarget.value);
              onChange(Number.isNaN(at.getTime()) ? null : at.toISOString());
            }}
          />
          <NamedState value={time === null ? (value ?? '') : ''} onPick={pick} />
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}

function NamedState({ value, onPick }: { value: string; onPick(value: string | null): void }) {
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget).get('name') ?? '').trim();
    onPick(name === '' ? null : name);
  }
  return (
    <form onSubmit={submit}>
      <Group gap={6} align="end" wrap="nowrap">
        <TextInput
          name="name"
          label="Or at a tag, branch or snapshot"
          description="A table's history lists them"
          defaultValue={value}
          key={value}
          style={{ flex: 1 }}
        />
        <Button type="submit">Use</Button>
      </Group>
    </form>
  );
}

/** Names of states never look like a date. */
function instantOf(value: string): Date | null {
  return /^\d{4}-\d\d-\d\d/.test(value) ? new Date(value) : null;
}

/** As the input wants it: local time without a zone. */
function localText(at: Date): string {
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
