'use client';

import { Button, Group, Popover, Stack, TextInput } from '@mantine/core';
import { IconClock } from '@tabler/icons-react';
import { useState } from 'react';

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** As of when the tables are read: now, or an instant (ISO 8601) in the past. */
export function AsOf({ value, onChange }: { value: string | null; onChange(value: string | null): void }) {
  const [isOpen, setOpen] = useState(false);
  function pick(next: string | null) {
    onChange(next);
    setOpen(false);
  }
  return (
    <Popover opened={isOpen} onChange={setOpen} position="bottom-start" shadow="md" trapFocus>
      <Popover.Target>
        <Button leftSection={<IconClock size={14} aria-hidden />} onClick={() => setOpen(!isOpen)}>
          {value === null ? 'as of now' : `as of ${exact.format(new Date(value))}`}
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
            value={value === null ? '' : localText(new Date(value))}
            onChange={(event) => {
              const at = new Date(event.currentTarget.value);
              onChange(Number.isNaN(at.getTime()) ? null : at.toISOString());
            }}
          />
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}

/** As the input wants it: local time without a zone. */
function localText(at: Date): string {
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
