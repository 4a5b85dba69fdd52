import type { GtidSet } from './gtid.ts';
import { malformed } from './protocol-error.ts';

interface Last {
  server: bigint;
  sequence: bigint;
}

const pattern = /^(\d{1,10})-(\d{1,10})-(\d{1,20})$/;

/**
 * A MariaDB GTID position (mariadb.com/kb/en/gtid): `0-1-42,1-3-7`, for each domain the server and number of its last
 * transaction. Numbers only grow within a domain.
 */
export class MariadbGtidSet implements GtidSet {
  readonly #domains = new Map<bigint, Last>();
  #text: string | null = '';

  static parse(text: string): MariadbGtidSet {
    const set = new MariadbGtidSet();
    for (const part of text.split(',')) if (part.trim() !== '') set.add(part.trim());
    return set;
  }

  add(gtid: string): void {
    const { domain, last } = parseGtid(gtid);
    this.addParts(domain, last.server, last.sequence);
  }

  /** An older number of the domain changes nothing. */
  addParts(domain: bigint, server: bigint, sequence: bigint): void {
    const known = this.#domains.get(domain);
    if (known !== undefined && known.sequence >= sequence) return;
    this.#domains.set(domain, { server, sequence });
    this.#text = null;
  }

  has(gtid: string): boolean {
    const { domain, last } = parseGtid(gtid);
    return this.#sequence(domain) >= last.sequence;
  }

  contains(other: GtidSet): boolean {
    return mariadb(other).countBeyond(this) === 0n;
  }

  equals(other: GtidSet): boolean {
    return this.contains(other) && other.contains(this);
  }

  union(other: GtidSet): GtidSet {
    const set = new MariadbGtidSet();
    for (const from of [this, mariadb(other)]) {
      for (const [domain, { server, sequence }] of from.#domains) set.addParts(domain, server, sequence);
    }
    return set;
  }

  countBeyond(other: GtidSet): bigint {
    const theirs = mariadb(other);
    let count = 0n;
    for (const [domain, { sequence }] of this.#domains) {
      const difference = sequence - theirs.#sequence(domain);
      if (difference > 0n) count += difference;
    }
    return count;
  }

  toString(): string {
    this.#text ??= [...this.#domains]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([domain, { server, sequence }]) => `${domain}-${server}-${sequence}`)
      .join(',');
    return this.#text;
  }

  #sequence(domain: bigint): bigint {
    return this.#domains.get(domain)?.sequence ?? 0n;
  }
}

function mariadb(set: GtidSet): MariadbGtidSet {
  if (set instanceof MariadbGtidSet) return set;
  throw malformed("a MySQL server's GTID set was compared with a MariaDB server's");
}

function parseGtid(text: string): { domain: bigint; last: Last } {
  const match = pattern.exec(text);
  if (match === null) throw malformed('a GTID is not domain-server-sequence', { gtid: text });
  const [, domain = '', server = '', sequence = ''] = match;
  return { domain: BigInt(domain), last: { server: BigInt(server), sequence: BigInt(sequence) } };
}
