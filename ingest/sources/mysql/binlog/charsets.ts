import iconv from 'iconv-lite';
import { type CodePatches, codePatches } from './code-patches.ts';
import { singleByteCharsets } from './single-byte-charsets.ts';

/** Bytes of one charset as text; null where they are none, so that nobody takes a mended text for the true one. */
export type Decode = (bytes: Buffer, start: number, end: number) => string | null;

/**
 * | charsets                                      | decoded by                                                |
 * | --------------------------------------------- | --------------------------------------------------------- |
 * | utf8mb4, utf8mb3, utf8, ascii                 | Node                                                      |
 * | ucs2, utf16, utf16le, utf32                   | Node                                                      |
 * | all of one byte (latin1, which is cp1252, …)  | tables of our own                                         |
 * | gbk, gb2312, euckr, sjis                      | iconv-lite, with some characters for others               |
 * | big5, cp932, ujis, eucjpms, gb18030           | iconv-lite, with `code-patches.ts`                        |
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
      return byIconv(charset, {});
    case 'gb2312':
      return byIconv(charset, { '·': '・', '—': '―' });
    case 'sjis':
      return byIconv('sjis', asJis);
    case 'big5':
    case 'cp932':
    case 'gb18030':
      return byCodes(byIconv(charset, {}), codePatches[charset]);
    case 'ujis':
    case 'eucjpms':
      return byCodes(byIconv('eucjp', {}), codePatches[charset]);
    default:
      return null;
  }
}

const replacement = '\ufffd';

/** Characters as JIS has them, where others take those of Microsoft's tables. */
const asJis = { '＼': '\\', '～': '〜', '∥': '‖', '－': '−', '￠': '¢', '￡': '£', '￢': '¬' };

/** `decode` for all codes but those that are patched. */
function byCodes(decode: Decode, { length, patch }: CodePatches): Decode {
  return (bytes, start, end) => {
    let text = '';
    let decoded = start;
    const decodeTo = (until: number) => {
      const more = decoded === until ? '' : decode(bytes, decoded, until);
      text += more ?? '';
      return more !== null;
    };
    for (let at = start; at < end; ) {
      const bytesOfCode = length(bytes[at] ?? 0, at + 1 < end ? (bytes[at + 1] ?? 0) : 0);
      if (at + bytesOfCode > end) return null;
      const patched = bytesOfCode === 1 ? undefined : patch(bytes.readUIntBE(at, bytesOfCode));
      if (patched === null) return null;
      if (patched !== undefined) {
        if (!decodeTo(at)) return null;
        text += patched;
        decoded = at + bytesOfCode;
      }
      at += bytesOfCode;
    }
    return decodeTo(end) ? text : null;
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
