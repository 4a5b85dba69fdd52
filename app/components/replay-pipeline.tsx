'use client';

import { Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { api } from './api.ts';
import { Failure } from './failure.tsx';

/** Asks for a replay: what the log still holds goes through the pipeline's steps again. */
export function ReplayPipeline({ name, opened, onClose }: { name: string; opened: boolean; onClose(): void }) {
  const client = useQueryClient();
  const [from, setFrom] = useState('');
  const [key, setKey] = useState('');
  const replay = useMutation({
    mutationFn: () =>
      api.pipelines.replay.mutate({
        name,
        ...(from === '' ? {} : { from: new Date(from).toISOString() }),
        ...(key === '' ? {} : { key }),
      }),
    onSuccess: () => client.invalidateQueries({ queryKey: ['pipelines'] }),
  });
  const close = () => {
    replay.reset();
    onClose();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    replay.mutate();
  };
  return (
    <Modal opened={opened} onClose={close} title={`Replay ${name}`} size="lg">
      {replay.data ? (
        <Stack>
          <Text>
            {`Changes since ${new Date(replay.data.from).toLocaleString()} are applied again${replay.data.waits ? ' once the pipeline is resumed' : ''}.`}
          </Text>
          {replay.data.leftOut.map(({ table, reason }) => (
            <Text key={table} size="sm">{`Left out: ${table}, for ${reason}.`}</Text>
          ))}
          <Group justify="flex-end">
            <Button onClick={close}>Close</Button>
          </Group>
        </Stack>
      ) : (
        <form onSubmit={submit}>
          <Stack>
            <Text size="sm">
              For rows that a step got wrong or could not carry on: the changes that the log still holds go through the
              steps again. Tables keep what they have until all of it is applied, and each row ends as its newest change
              left it.
            </Text>
            <TextInput
              type="datetime-local"
              step={1}
              label="Changes since"
              description={`In your zone, ${Intl.DateTimeFormat().resolvedOptions().timeZone}; empty for all that there are`}
              value={from}
              onChange={(event) => setFrom(event.currentTarget.value)}
            />
            <TextInput
              label="Of one key"
              description={'Its text, as in 7; for several columns a JSON array, as in ["US", 7]. Empty for every key'}
              value={key}
              onChange={(event) => setKey(event.currentTarget.value)}
            />
            {replay.error && <Failure error={replay.error} />}
            <Group justify="flex-end">
              <Button variant="default" onClick={close}>
                Cancel
              </Button>
              <Button type="submit" loading={replay.isPending}>
                Replay pipeline
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Modal>
  );
}
