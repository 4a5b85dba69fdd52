import type { EventHeader } from './event-header.ts';
import { artificialFlag } from './event-header.ts';

const wrap = 2 ** 32;

/** Where reading stands: the log's file, and bytes in it, counted on where the events' own field of 32 bits wraps. */
export class LogPlace {
  log = '';
  /** End of the last event that stands in the log. */
  position = 0;

  pass(header: EventHeader): void {
    const isInLog = header.endPosition !== 0 && (header.flags & artificialFlag) === 0;
    if (!isInLog) return;
    const whole = Math.floor(this.position / wrap) * wrap;
    const position = whole + header.endPosition;
    this.position = position < this.position ? position + wrap : position;
  }

  /** A real one ends a log; one made for us tells where sending begins. */
  rotate(log: string, position: number, header: EventHeader): void {
    const isSame = log === this.log && (header.flags & artificialFlag) !== 0;
    this.log = log;
    if (!isSame) this.position = position;
  }
}
