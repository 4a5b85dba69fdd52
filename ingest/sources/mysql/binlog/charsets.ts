import iconv from 'iconv-lite';
import { singleByteCharsets } from './single-byte-charsets.ts';

/** Bytes of one charset as text; null where they are none, so that nobody takes a mended text for the true one. */
export type Decode = (bytes: Buffer, start: number, end: number) => string | null;

/**
 * | charsets                                      | decoded by                                                |
 * | --------------------------------------------- | --------------------------------------------------------- |
 * | utf8mb4, utf8mb3, utf8, ascii                 | Node                                                      |
 * | ucs2, utf16, utf16le, utf32                   | Node                                                      |
 * | all of one byte (latin1, which is cp1252, …)  | tables of our own                                         |
 * | gbk, gb2312, euckr, sjis, cp932, ujis, eucjpms | iconv-lite, mended where the server understands a code otherwise |
 *
 * Not big5 and gb18030: no table at hand agrees with the servers' own. Characters that users define (cp932 F941 to F9FC,
 * ujis and eucjpms from F5A1 and 8FF3A1 on) are left as bytes.
 */
const decoders = new Map<string, Decode | null>();

/** How texts of this charset are decoded; null for one that we do not know exactly. */
export function decoderOf(charset: string): Decode | null {
  let decoder = decoders.get(charset);
  if (decoder === undefined) {
    decoder = makeDecoder(charset);
    decoders.set(charset, decoder);
  }
  return decoder;
}

function makeDecoder(charset: string): Decode | null {
  const table = singleByteCharsets[charset];
  if (table !== undefined) return singleByte(table);
  switch (charset) {
    case 'utf8mb4':
    case 'utf8mb3':
    case 'utf8':
      return utf8;
    case 'ascii':
      return ascii;
    case 'ucs2':
    case 'utf16':
      return (bytes, start, end) => utf16(Buffer.from(bytes.subarray(start, end)).swap16());
    case 'utf16le':
      return (bytes, start, end) => utf16(bytes.subarray(start, end));
    case 'utf32':
      return utf32;
    case 'gbk':
    case 'euckr':
    case 'cp932':
      return byIconv(charset, {});
    case 'gb2312':
      return byIconv(charset, { '·': '・', '—': '―' });
    case 'sjis':
      return byIconv('sjis', asJis);
    case 'ujis':
      return eucJp(byIconv('eucjp', asJis));
    case 'eucjpms':
      return eucJp(byIconv('eucjp', { '¦': '￤' }));
    default:
      return null;
  }
}

const replacement = '\ufffd';

/** Characters as JIS has them, where others take those of Microsoft's tables. */
const asJis = { '＼': '\\', '～': '〜', '∥': '‖', '－': '−', '￠': '¢', '￡': '£', '￢': '¬' };

/**
 * EUC-JP without what iconv-lite understands otherwise: rows from F5 on, rows from 8FF3 on, and the tilde of JIS X 0212, which
 * it does not tell from the wave dash.
 */
function eucJp(decode: Decode): Decode {
  return (bytes, start, end) => {
    for (let at = start; at < end; ) {
      const lead = bytes[at] ?? 0;
      const second = bytes[at + 1] ?? 0;
      if (lead >= 0xf5) return null;
      if (lead === 0x8f && (second >= 0xf3 || (second === 0xa2 && bytes[at + 2] === 0xb7))) return null;
      at += lead < 0x80 ? 1 : lead === 0x8f ? 3 : 2;
    }
    return decode(bytes, start, end);
  };
}

function utf8(bytes: Buffer, start: number, end: number): string | null {
  const text = bytes.toString('utf8', start, end);
  if (!text.includes(replacement)) return text;
  return Buffer.compare(Buffer.from(text), bytes.subarray(start, end)) === 0 ? text : null;
}

function ascii(bytes: Buffer, start: number, end: number): string | null {
  for (let at = start; at < end; at++) if ((bytes[at] ?? 0) > 0x7f) return null;
  return bytes.toString('latin1', start, end);
}

function utf16(littleEndian: Buffer): string | null {
  const text = littleEndian.toString('utf16le');
  return littleEndian.length % 2 === 0 && text.isWellFormed() ? text : null;
}

function utf32(bytes: Buffer, start: number, end: number): string | null {
  let text = '';
  if ((end - start) % 4 !== 0) return null;
  for (let at = start; at < end; at += 4) {
    const code = bytes.readUInt32BE(at);
    if (code > 0x10ffff) return null;
    text += String.fromCodePoint(code);
  }
  return text.isWellFormed() ? text : null;
}

function singleByte(table: string): Decode {
  const upperOnly = table.length === 128;
  return (bytes, start, end) => {
    const text = bytes.toString('latin1', start, end);
    if (upperOnly && /^[\0-\x7f]*$/.test(text)) return text;
    let decoded = '';
    for (let at = start; at < end; at++) {
      const byte = bytes[at] ?? 0;
      decoded +=
        upperOnly && byte < 0x80 ? String.fromCharCode(byte) : (table[upperOnly ? byte - 0x80 : byte] ?? replacement);
    }
    return decoded.includes(replacement) ? null : decoded;
  };
}

function byIconv(charset: string, mended: Record<string, string>): Decode {
  const wrong = Object.keys(mended).join('');
  const pattern = wrong === '' ? null : new RegExp(`[${wrong}]`, 'g');
  return (bytes, start, end) => {
    const text = iconv.decode(bytes.subarray(start, end), charset, { stripBOM: false });
    if (text.includes(replacement)) return null;
    return pattern === null ? text : text.replace(pattern, (character) => mended[character] ?? character);
  };
}
