/**
 * Codes of charsets with several bytes a character that MySQL and MariaDB understand otherwise than iconv-lite (a test compares
 * them all with a server).
 */
export interface CodePatches {
  /** How many bytes the code has that begins with these two; the second is 0 where the text ends. */
  length(first: number, second: number): number;
  /** The server's text for a code, null where it has none; undefined where iconv-lite says the same. */
  patch(code: number): string | null | undefined;
}

const twoBytes = (first: number) => (first < 0x80 ? 1 : 2);
const jisBytes = (first: number) => (first < 0x80 || (first > 0xa0 && first < 0xe0) ? 1 : 2);
const eucBytes = (first: number) => (first < 0x80 ? 1 : first === 0x8f ? 3 : 2);

/** What users define themselves lies in Unicode's private part from `start` on. */
function own(start: number, index: number): string {
  return String.fromCharCode(start + index);
}

/** The place of a code among those from A1 to FE in both bytes, counted from `lead` on. */
function place94(code: number, lead: number): number {
  return (((code >> 8) & 0xff) - lead) * 94 + (code & 0xff) - 0xa1;
}

const big5Symbols = new Map<number, string>([
  [0xa145, '•'],
  [0xa14e, '､'],
  [0xa1c2, '‾'],
  [0xa1e3, '∼'],
  [0xa1f2, '♁'],
  [0xa1f3, '☉'],
  [0xa241, '／'],
  [0xa242, '＼'],
  [0xa244, '¥'],
  [0xa246, '¢'],
  [0xa247, '£'],
  // Codes that the server takes, and prints so itself.
  ...[0xa15a, 0xa1c3, 0xa1c5, 0xa1fe, 0xa240, 0xa2cc, 0xa2ce].map((code): [number, string] => [code, '\ufffd']),
]);

/** Big5's codes from C6A1 to C7FC. */
const big5Kana =
  'ヾゝゞ々ぁあぃいぅうぇえぉおかがきぎくぐけげこごさざしじすずせぜそぞただちぢっつづてでとどなにぬねのはばぱひびぴふぶぷへべぺほぼぽまみむめもゃやゅゆょよらりるれろゎわゐゑをんァアィイゥウェエォオカガキ' +
  'ギクグケゲコゴサザシジスズセゼソゾタダチヂッツヅテデトドナニヌネノハバパヒビピフブプヘベペホボポマミムメモャヤュユョヨラリルレロヮワヰヱヲンヴヵヶДЕЁЖЗИЙКЛМУФХЦЧШЩЪЫЬЭЮЯабвг' +
  'деёжзийклмнопрстуфхцчшщъыьэюя①②③④⑤⑥⑦⑧⑨⑩⑴⑵⑶⑷⑸⑹⑺⑻⑼⑽';

const big5: CodePatches = {
  length: twoBytes,
  patch(code) {
    if (code < 0x80) return undefined;
    const lead = code >> 8;
    const trail = code & 0xff;
    if (lead < 0xa1 || lead > 0xf9 || trail < 0x40 || (trail > 0x7e && trail < 0xa1) || trail === 0xff) return null;
    if (code >= 0xc6a1 && code <= 0xc7fc) {
      const inRow = trail < 0x7f ? trail - 0x40 : trail - 0xa1 + 63;
      return big5Kana[(lead - 0xc6) * 157 + inRow - 63] ?? null;
    }
    if ((code >= 0xa3c0 && lead === 0xa3) || lead === 0xc7 || lead === 0xc8 || code >= 0xf9dd) return null;
    return big5Symbols.get(code);
  },
};

/** Eucjpms' codes from 8FF3F3 to 8FF4FE, which are IBM's. */
const ibmCharacters =
  'ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ＇＂㈱№℡炻仼僴凬匇匤﨎咊坙﨏塚增寬峵嵓﨑德悅愠敎昻晥晴朗栁﨓﨔橫櫢淸淲瀨凞猪甁皂皞益礰礼神祥福竧靖精綠緖羽荢﨟薰蘒﨡蠇諸譿賴赶﨣﨤逸郞都鄕﨧﨨閒隆﨩霻靍靑飯飼' +
  '館馞髙魲鶴黑';

const eucjpms: CodePatches = {
  length: eucBytes,
  patch(code) {
    if (code === 0x8fa2c3) return '￤';
    if (code >= 0x8ff3f3 && code <= 0x8ff4fe && (code & 0xff) >= 0xa1)
      return ibmCharacters[place94(code, 0xf3) - place94(0xf3f3, 0xf3)] ?? null;
    return ownOfEuc(code);
  },
};

const ujis: CodePatches = {
  length: eucBytes,
  patch(code) {
    if (code === 0x8fa2b7) return '~';
    // Characters as JIS has them, where others take those of Microsoft's tables.
    if (asJis.has(code)) return asJis.get(code);
    // NEC's row.
    if (code >= 0xada1 && code <= 0xadfe) return null;
    return ownOfEuc(code);
  },
};

const asJis = new Map<number, string>([
  [0xa1c0, '\\'],
  [0xa1c1, '〜'],
  [0xa1c2, '‖'],
  [0xa1dd, '−'],
  [0xa1f1, '¢'],
  [0xa1f2, '£'],
  [0xa2cc, '¬'],
]);

function ownOfEuc(code: number): string | null | undefined {
  const [lead, second, trail] = [code > 0xffff ? code >> 16 : code >> 8, (code >> 8) & 0xff, code & 0xff];
  if (trail < 0xa1 || trail === 0xff || lead === 0xff || second === 0xff) return null;
  if (lead === 0x8e ? trail > 0xdf : lead === 0x8f ? second < 0xa1 : lead < 0xa1) return null;
  if (code >= 0xf5a1 && code <= 0xfefe) return own(0xe000, place94(code, 0xf5));
  if (code >= 0x8ff5a1) return own(0xe3ac, place94(code, 0xf5));
  return undefined;
}

const cp932: CodePatches = {
  length: jisBytes,
  patch(code) {
    const [lead, trail] = [code >> 8, code & 0xff];
    if (lead < 0x81 || lead === 0xa0 || lead > 0xfc || trail < 0x40 || trail === 0x7f || trail > 0xfc) return null;
    if (lead < 0xf0 || code > 0xf9fc) return undefined;
    return own(0xe000, (lead - 0xf0) * 188 + trail - (trail > 0x7f ? 0x41 : 0x40));
  },
};

const gb18030: CodePatches = {
  length: (first, second) => (first < 0x80 ? 1 : second >= 0x30 && second <= 0x39 ? 4 : 2),
  patch(code) {
    // U+FFFD itself, which is no sign of a fault here.
    if (code > 0xffff) return code === 0x8431a437 ? '\ufffd' : undefined;
    const [lead, trail] = [code >> 8, code & 0xff];
    if (lead < 0x81 || lead === 0xff || trail < 0x40 || trail === 0x7f || trail === 0xff) return null;
    return code === 0xa3a0 ? '\ue5e5' : undefined;
  },
};

export const codePatches = { big5, cp932, eucjpms, gb18030, ujis };
