import { describe, expect, it } from 'vitest';
import { can, requireAccess } from '#catalog/access/principal.ts';
import { WrongPasswords } from '#catalog/access/wrong-passwords.ts';

const who = (...roles: string[]) => ({ email: 'a@b.example', roles, kind: 'person' as const });

describe('what roles may do', () => {
  it('gives each role what it needs, and nothing to nobody', () => {
    const table = (['staff', 'analyst', 'owner', 'admin', 'legal'] as const).map((role) => [
      role,
      can(who(role), 'sql.run'),
      can(who(role), 'report.write'),
      can(who(role), 'pipeline.write'),
      can(who(role), 'admin'),
    ]);
    expect(table).toEqual([
      ['staff', true, false, false, false],
      ['analyst', true, true, false, false],
      ['owner', true, true, true, false],
      ['admin', true, true, true, true],
      // A role that only a definition names looks at what is there.
      ['legal', true, false, false, false],
    ]);
    expect(can(who(), 'catalog.read')).toBe(false);
    expect(can(who('constructor'), 'admin')).toBe(false);
  });

  it('refuses with the role that is needed', () => {
    expect(() => requireAccess(who('staff'), 'pipeline.write', 'pause pipelines')).toThrow(
      'You may not pause pipelines: that needs the role owner, and your role is staff. Ask an admin to grant it.',
    );
  });
});

describe('wrong passwords', () => {
  it('are counted for an address and from one, and forgotten after five minutes', () => {
    let now = 0;
    const counter = new WrongPasswords(() => now);
    const wrong = (email: string, from: string) => void counter.begin(email, from);
    for (let count = 0; count < 5; count++) wrong('a@b.example', '10.0.0.1');
    expect(() => counter.begin('a@b.example', '10.0.0.2')).toThrow('Try again in 5 minutes');
    counter.begin('c@d.example', '10.0.0.1').takeBack();
    for (let count = 0; count < 25; count++) wrong(`${count}@d.example`, '10.0.0.1');
    expect(() => counter.begin('c@d.example', '10.0.0.1')).toThrow('Too many wrong passwords');
    now = 5 * 60_000;
    expect(() => counter.begin('a@b.example', '10.0.0.1')).not.toThrow();
  });
});
