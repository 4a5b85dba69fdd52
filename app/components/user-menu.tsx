'use client';

import { Menu } from '@mantine/core';
import { IconLogout } from '@tabler/icons-react';
import type { SignedIn } from './session.tsx';
import { signOut } from './sign-in.ts';
import css from './user-menu.module.css';

export function UserMenu({ who }: { who: SignedIn }) {
  return (
    <Menu position="top-start">
      <Menu.Target>
        <button type="button" className={css.person} aria-label={`Signed in as ${who.name}`}>
          <span className={css.face} aria-hidden>
            {initials(who.name)}
          </span>
          <span className={css.name}>{who.name}</span>
        </button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {who.email}
          <br />
          {who.roles.length > 0 ? who.roles.join(', ') : 'no role'}
        </Menu.Label>
        <Menu.Item leftSection={<IconLogout size={15} />} onClick={() => void signOut()}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function initials(name: string): string {
  const words = name.split(/[\s.@_-]+/).filter(Boolean);
  return words
    .slice(0, 2)
    .map((word) => word.charAt(0).toUpperCase())
    .join('');
}
