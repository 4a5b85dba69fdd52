'use client';

import { Alert, Button, PasswordInput, Stack, TextInput } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { type FormEvent, useState } from 'react';
import { OutsideCard } from '../components/outside-card.tsx';
import { acceptInvitation } from '../components/sign-in.ts';

/** Where the first admin's link and every invitation lead. */
export default function WelcomePage() {
  const [refusal, setRefusal] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  async function onSubmit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const query = new URLSearchParams(window.location.search);
    setBusy(true);
    const sentence = await acceptInvitation({
      token: query.get('token') ?? '',
      name: String(form.get('name')),
      email: String(form.get('email')),
      password: String(form.get('password')),
    }).catch(() => 'Dailies does not answer. Check that it runs and try again.');
    setBusy(false);
    setRefusal(sentence);
    if (sentence === null) window.location.assign('/');
  }
  return (
    <OutsideCard title="Welcome to Dailies" words="Tell who you are and choose a password. The link works once.">
      <form onSubmit={onSubmit}>
        <Stack gap={12}>
          <TextInput name="name" label="Name" autoComplete="name" required withAsterisk={false} autoFocus />
          <TextInput name="email" type="email" label="E-mail" autoComplete="username" required withAsterisk={false} />
          <PasswordInput
            name="password"
            label="Password"
            description="At least 8 characters"
            autoComplete="new-password"
            minLength={8}
            required
            withAsterisk={false}
          />
          {refusal && (
            <Alert color="red" variant="light" icon={<IconAlertTriangle size={16} />} role="alert">
              {refusal}
            </Alert>
          )}
          <Button type="submit" variant="filled" loading={isBusy}>
            Create account
          </Button>
        </Stack>
      </form>
    </OutsideCard>
  );
}
