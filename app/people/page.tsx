'use client';

import { Button, Group, Modal, MultiSelect, NativeSelect, Stack, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconKey, IconUserPlus } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { type Answers, api, problemOf } from '../components/api.ts';
import { CopyId } from '../components/copy-id.tsx';
import { EmptyState } from '../components/empty-state.tsx';
import { Failure } from '../components/failure.tsx';
import { ListTable } from '../components/list-table.tsx';
import { Loading } from '../components/loading.tsx';
import { counted } from '../components/numbers.ts';
import { Page, PageHeader, Section } from '../components/page-header.tsx';
import { When } from '../components/when.tsx';

type People = Answers['people']['list'];

export default function PeoplePage() {
  const people = useQuery({ queryKey: ['people'], queryFn: () => api.people.list.query() });
  if (people.isPending) return <Loading what="who has which role" />;
  if (!people.data) {
    return (
      <Page>
        <PageHeader title="People & policy" />
        <Failure error={people.error} retry={() => people.refetch()} />
      </Page>
    );
  }
  return (
    <Page>
      <PageHeader
        title="People & policy"
        sentence={`${counted(people.data.people.length, 'person', 'people')} with a role · no policy restricts a table: everybody signed in reads every table`}
        actions={<Invite roles={people.data.roles} />}
      />
      <PeopleTable data={people.data} />
      <Section title="API tokens" aside={<NewToken roles={people.data.roles} />}>
        <Tokens />
      </Section>
      <Section title="Who changed what" aside="newest first">
        <Audit />
      </Section>
    </Page>
  );
}

function PeopleTable({ data }: { data: People }) {
  const client = useQueryClient();
  const [link, setLink] = useState<{ email: string; link: string } | null>(null);
  const setRoles = useMutation({
    mutationFn: (change: { email: string; roles: string[] }) => api.people.setRoles.mutate(change),
    onSettled: () => client.invalidateQueries({ queryKey: ['people'] }),
    onError: showProblem,
  });
  const invite = useMutation({
    mutationFn: (email: string) => api.people.invite.mutate({ email }),
    onSuccess: setLink,
    onError: showProblem,
  });
  if (data.people.length === 0) {
    return <EmptyState title="Nobody yet">Invite people, or name them in a definition file under “people”.</EmptyState>;
  }
  return (
    <>
      <ListTable
        label="People"
        rows={data.people}
        rowKey={(person) => person.email}
        columns={[
          { head: 'Person', cell: (person) => <strong>{person.email}</strong> },
          {
            head: 'Roles',
            width: '300px',
            cell: (person) => (
              <MultiSelect
                aria-label={`Roles of ${person.email}`}
                variant="unstyled"
                data={data.roles}
                value={person.roles}
                placeholder={person.roles.length === 0 ? 'no role' : ''}
                onChange={(roles) => setRoles.mutate({ email: person.email, roles })}
              />
            ),
          },
          {
            head: 'Last here',
            cell: (person) =>
              person.hasAccount ? <When at={person.lastSeenAt} /> : <span className="dim">not yet</span>,
          },
          {
            head: 'Link',
            width: '150px',
            cell: (person) => (
              <Button size="compact-sm" variant="subtle" onClick={() => invite.mutate(person.email)}>
                {person.hasAccount ? 'New password link' : 'New invitation'}
              </Button>
            ),
          },
        ]}
      />
      <LinkModal made={link} onClose={() => setLink(null)} />
    </>
  );
}

function Invite({ roles }: { roles: readonly string[] }) {
  const client = useQueryClient();
  const [isOpen, setOpen] = useState(false);
  const [chosen, setChosen] = useState<string[]>(['staff']);
  const [made, setMade] = useState<{ email: string; link: string } | null>(null);
  const invite = useMutation({
    mutationFn: (email: string) => api.people.invite.mutate({ email, roles: chosen }),
    onSuccess: async (answer) => {
      setOpen(false);
      setMade(answer);
      await client.invalidateQueries({ queryKey: ['people'] });
    },
  });
  function onSubmit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    invite.mutate(String(new FormData(event.currentTarget).get('email')));
  }
  return (
    <>
      <Button variant="filled" leftSection={<IconUserPlus size={15} aria-hidden />} onClick={() => setOpen(true)}>
        Invite somebody
      </Button>
      <Modal opened={isOpen} onClose={() => setOpen(false)} title="Invite somebody">
        <form onSubmit={onSubmit}>
          <Stack gap={12}>
            <TextInput name="email" type="email" label="E-mail" required withAsterisk={false} data-autofocus />
            <MultiSelect label="Roles" data={[...roles]} value={chosen} onChange={setChosen} />
            {invite.error && <Failure error={invite.error} what="No invitation was made." />}
            <Group justify="flex-end">
              <Button type="submit" variant="filled" loading={invite.isPending}>
                Make a link
              </Button>
            </Group>
          </Stack>
        </form>
      </Modal>
      <LinkModal made={made} onClose={() => setMade(null)} />
    </>
  );
}

function LinkModal({ made, onClose }: { made: { email: string; link: string } | null; onClose(): void }) {
  return (
    <Modal opened={made !== null} onClose={onClose} title={`A link for ${made?.email ?? ''}`}>
      <p style={{ marginTop: 0 }}>Send it to them. It works once, within 7 days, and is not shown again.</p>
      {made && <CopyId value={made.link} />}
    </Modal>
  );
}

function Tokens() {
  const client = useQueryClient();
  const tokens = useQuery({ queryKey: ['tokens'], queryFn: () => api.people.tokens.query() });
  const revoke = useMutation({
    mutationFn: (id: string) => api.people.revokeToken.mutate({ id }),
    onSettled: () => client.invalidateQueries({ queryKey: ['tokens'] }),
    onError: showProblem,
  });
  if (tokens.isPending) return <Loading what="the tokens" rows={3} />;
  if (!tokens.data) return <Failure error={tokens.error} retry={() => tokens.refetch()} />;
  if (tokens.data.length === 0) {
    return (
      <EmptyState title="No API token yet">
        A token lets a program read the catalog, run SQL, or open tables through the Iceberg REST catalog.
      </EmptyState>
    );
  }
  return (
    <ListTable
      label="API tokens"
      rows={tokens.data}
      rowKey={(token) => token.id}
      columns={[
        { head: 'Name', cell: (token) => <strong>{token.name}</strong> },
        { head: 'Role', cell: (token) => token.role },
        { head: 'Made by', cell: (token) => token.createdBy, isExtra: true },
        { head: 'Made', cell: (token) => <When at={token.createdAt} /> },
        { head: 'Last used', cell: (token) => <When at={token.lastUsedAt} /> },
        {
          head: '',
          width: '100px',
          cell: (token) => (
            <Button size="compact-sm" variant="subtle" color="red" onClick={() => revoke.mutate(token.id)}>
              Revoke
            </Button>
          ),
        },
      ]}
    />
  );
}

function NewToken({ roles }: { roles: readonly string[] }) {
  const client = useQueryClient();
  const [isOpen, setOpen] = useState(false);
  const [token, setToken] = useState<string | null>(null);
  const create = useMutation({
    mutationFn: (request: { name: string; role: string }) => api.people.createToken.mutate(request),
    onSuccess: async (answer) => {
      setOpen(false);
      setToken(answer.token);
      await client.invalidateQueries({ queryKey: ['tokens'] });
    },
  });
  function onSubmit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    create.mutate({ name: String(form.get('name')), role: String(form.get('role')) });
  }
  return (
    <>
      <Button leftSection={<IconKey size={15} aria-hidden />} onClick={() => setOpen(true)}>
        Make a token
      </Button>
      <Modal opened={isOpen} onClose={() => setOpen(false)} title="Make an API token">
        <form onSubmit={onSubmit}>
          <Stack gap={12}>
            <TextInput name="name" label="What it is for" required withAsterisk={false} data-autofocus />
            <NativeSelect name="role" label="Role" data={[...roles]} defaultValue="analyst" />
            {create.error && <Failure error={create.error} what="No token was made." />}
            <Group justify="flex-end">
              <Button type="submit" variant="filled" loading={create.isPending}>
                Make a token
              </Button>
            </Group>
          </Stack>
        </form>
      </Modal>
      <Modal opened={token !== null} onClose={() => setToken(null)} title="Your new token">
        <p style={{ marginTop: 0 }}>Copy it now: it is not shown again.</p>
        {token && <CopyId value={token} />}
      </Modal>
    </>
  );
}

function Audit() {
  const audit = useQuery({ queryKey: ['audit'], queryFn: () => api.people.audit.query() });
  if (audit.isPending) return <Loading what="who changed what" rows={4} />;
  if (!audit.data) return <Failure error={audit.error} retry={() => audit.refetch()} />;
  if (audit.data.length === 0)
    return <EmptyState title="Nothing yet">Every change by a person is kept here.</EmptyState>;
  return (
    <ListTable
      label="Who changed what"
      rows={audit.data}
      rowKey={(entry) => entry.id}
      columns={[
        { head: 'When', width: '130px', cell: (entry) => <When at={entry.at} /> },
        { head: 'Who', cell: (entry) => entry.actor },
        { head: 'Did', cell: (entry) => entry.action.replace(/[.-]/g, ' ') },
        { head: 'To', cell: (entry) => entry.target },
      ]}
    />
  );
}

function showProblem(error: unknown) {
  notifications.show({ color: 'red', message: problemOf(error).message });
}
