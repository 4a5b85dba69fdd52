'use client';

import { Alert, Button, PasswordInput, Stack, TextInput } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { parseAsString, useQueryState } from 'nuqs';
import { type FormEvent, useState } from 'react';
import { api } from '../components/api.ts';
import { OutsideCard } from '../components/outside-card.tsx';
import { acceptInvitation } from '../components/sign-in.ts';

/** Where the first admin's link and every invitation lead. */
export default function WelcomePage() {
  const [refusal, setRefusal] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const [token] = useQueryState('token', parseAsString.withDefault(''));
  const link = useQuery({
    queryKey: ['link', token],
    queryFn: () => api.session.link.query({ token }),
    staleTime: Number.POSITIVE_INFINITY,
  });
  async function onSubmit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    const sentence = await acceptInvitation({
      token,
      name: String(form.get('name')),
      email: link.data?.email ?? String(form.get('email')),
      password: String(form.get('password')),
    }).catch(() => 'Dailies does not answer. Check that it runs and try again.');
    setBusy(false);
    setRefusal(sentence);
    if (sentence === null) window.location.assign('/');
  }
  if (link.data === null) {
    return (
      <OutsideCard
        title="This link no longer works"
        words="It was used already or has expired. Ask an admin for a new one, or sign in if you have an account."
      >
        <Link href="/sign-in">Sign in</Link>
      </OutsideCard>
    );
  }
  return (
    <OutsideCard title="Welcome to Dailies" words="Tell who you are and choose a password. The link works once.">
      <form onSubmit={onSubmit}>
        <Stack gap={12}>
          <TextInput name="name" label="Name" autoComplete="name" required withAsterisk={false} autoFocus />
          <TextInput
            name="email"
            type="email"
            label="E-mail"
            autoComplete="username"
            required
            withAsterisk={false}
            {...(link.data?.email ? { value: link.data.email, readOnly: true } : {})}
          />
          <PasswordInput
            name="password"
            label="Password"
            description="At least 10 characters"
            autoComplete="new-password"
            minLength={10}
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
