'use client';

import { Alert, Button, PasswordInput, Stack, TextInput } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useRouter } from 'next/navigation';
import { type FormEvent, useEffect, useState } from 'react';
import { Failure } from '../components/failure.tsx';
import { useLate } from '../components/loading.tsx';
import { OutsideCard } from '../components/outside-card.tsx';
import { useSession } from '../components/session.tsx';
import { signInWithPassword } from '../components/sign-in.ts';

export default function SignInPage() {
  const session = useSession();
  const router = useRouter();
  const isIn = session.data !== undefined && session.data.who !== null;
  const isLate = useLate(300);
  useEffect(() => {
    if (isIn) router.replace(nextPath());
  }, [isIn, router]);
  return (
    <OutsideCard
      title="Sign in to Dailies"
      words="Tables, SQL and reports of the studio, a second behind the databases."
    >
      {session.error && <Failure error={session.error} retry={() => session.refetch()} />}
      {!session.error && !session.data && <p className="dim">{isLate ? 'Asking who you are …' : '\u00a0'}</p>}
      {session.data && !isIn && (session.data.isDemo ? <DemoButtons /> : <PasswordForm />)}
    </OutsideCard>
  );
}

const demoRoles = [
  { role: 'admin', label: 'Sign in as admin' },
  { role: 'analyst', label: 'Sign in as analyst' },
  { role: 'owner', label: 'Sign in as pipeline owner' },
  { role: 'staff', label: 'Sign in as staff' },
] as const;

/** The sample studio has no passwords: a button for each role. */
function DemoButtons() {
  const [going, setGoing] = useState<string | null>(null);
  return (
    <Stack gap={8}>
      {demoRoles.map(({ role, label }, index) => (
        <Button
          key={role}
          variant={index === 0 ? 'filled' : 'default'}
          fullWidth
          loading={going === role}
          disabled={going !== null && going !== role}
          onClick={() => {
            setGoing(role);
            window.location.assign(`/sign-in/demo/${role}?next=${encodeURIComponent(nextPath())}`);
          }}
        >
          {label}
        </Button>
      ))}
      <p className="dim" style={{ margin: '8px 0 0' }}>
        This is the sample studio: everybody in it is made up.
      </p>
    </Stack>
  );
}

function PasswordForm() {
  const [refusal, setRefusal] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  async function onSubmit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    const sentence = await signInWithPassword(String(form.get('email')), String(form.get('password'))).catch(
      () => 'Dailies does not answer. Check that it runs and try again.',
    );
    setBusy(false);
    setRefusal(sentence);
    if (sentence === null) window.location.assign(nextPath());
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack gap={12}>
        <TextInput
          name="email"
          type="email"
          label="E-mail"
          autoComplete="username"
          required
          withAsterisk={false}
          autoFocus
        />
        <PasswordInput
          name="password"
          label="Password"
          autoComplete="current-password"
          required
          withAsterisk={false}
          error={refusal !== null}
        />
        {refusal && (
          <Alert color="red" variant="light" icon={<IconAlertTriangle size={16} />} role="alert">
            {refusal}
          </Alert>
        )}
        <Button type="submit" variant="filled" loading={isBusy}>
          Sign in
        </Button>
        <p className="dim" style={{ margin: 0 }}>
          No account yet? An admin can send you a link.
        </p>
      </Stack>
    </form>
  );
}

/** Where the person wanted to go, kept within this product. */
function nextPath(): string {
  const next = new URLSearchParams(window.location.search).get('next');
  return next?.startsWith('/') && !next.startsWith('//') && !next.startsWith('/\\') ? next : '/';
}
