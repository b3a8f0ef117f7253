// What stands in an ESP image's header, read before it is uploaded.  Layout: ESP-IDF's esp_app_format.h and
// esp_app_desc.h.  The server reads it again and is its judge; this is for people to see at once.

export type Check = { name: string; passed: boolean; means: string; isFatal: boolean };
export type Facts = {
  isImage: boolean; chip: string; version: string; project: string; idf: string; built: string; secureVersion: number; segments: number; sha256: string; checks: Check[];
};

const chips: Record<number, string> = {
  0: 'esp32', 2: 'esp32s2', 5: 'esp32c3', 9: 'esp32s3', 12: 'esp32c2', 13: 'esp32c6', 16: 'esp32h2', 18: 'esp32p4', 20: 'esp32c61', 23: 'esp32c5', 25: 'esp32h21', 28: 'esp32h4', 31: 'esp32e22', 32: 'esp32s31', 0x4c50: 'linux',
};

const hex = (b: ArrayBuffer) => [...new Uint8Array(b)].map((x) => x.toString(16).padStart(2, '0')).join('');
const digest = async (b: BufferSource) => (crypto.subtle ? hex(await crypto.subtle.digest('SHA-256', b)) : '');

export async function readImage(file: File): Promise<Facts> {
  const buffer = await file.arrayBuffer();
  const view = new DataView(buffer);
  const all = new Uint8Array(buffer);
  const text = (at: number, size: number) => new TextDecoder('latin1').decode(all.subarray(at, at + size)).split('\0')[0];
  const facts: Facts = { isImage: false, chip: '', version: '', project: '', idf: '', built: '', secureVersion: 0, segments: 0, sha256: await digest(buffer), checks: [] };
  const check = (name: string, passed: boolean, means: string, isFatal = true) => {
    facts.checks.push({ name, passed, means, isFatal });
    return passed;
  };

  facts.isImage = check('Begins as an ESP image', buffer.byteLength >= 32 && all[0] === 0xe9, 'The first byte is not 0xE9: this is no application image of ESP-IDF. It can be uploaded as raw, for a host MCU or a file.');
  if (!facts.isImage) return facts;
  facts.segments = all[1];
  const chip = view.getUint16(12, true);
  facts.chip = chips[chip] ?? `chip ${chip}`;
  check('Made for a known chip', chip in chips, `Chip id ${chip} is not known here; nodes compare it with their own.`, false);

  let at = 24, sum = 0xef, whole = true;
  for (let i = 0; i < facts.segments && whole; i++) {
    whole = at + 8 <= all.length;
    if (!whole) break;
    const size = view.getUint32(at + 4, true);
    at += 8;
    whole = size <= all.length - at;
    if (whole) for (let n = at; n < at + size; n++) sum ^= all[n];
    at += size;
  }
  whole &&= facts.segments > 0;
  if (check('All segments are there', whole, 'The file ends inside a segment: it was cut while it was copied. Build or copy it again.')) {
    const end = (at & ~15) + 15;
    check('Checksum', end < all.length && all[end] === sum, 'The bytes do not give the checksum that the file carries: it is damaged. The boot loader would refuse it.');
    if (all[23] === 1 && crypto.subtle) {
      const stored = hex(buffer.slice(end + 1, end + 33));
      check('SHA-256', stored.length === 64 && stored === (await digest(buffer.slice(0, end + 1))), 'The bytes do not give the digest that the file carries: it is damaged, or was changed after it was built.');
    }
  }
  const hasDescription = all.length >= 288 && view.getUint32(32, true) === 0xabcd5432;
  if (check('Describes itself', hasDescription, 'There is no application description: its version cannot be read, and nodes cannot compare it.')) {
    facts.secureVersion = view.getUint32(36, true);
    facts.version = text(48, 32);
    facts.project = text(80, 32);
    facts.built = `${text(128, 16)} ${text(112, 16)}`.trim();
    facts.idf = text(144, 32);
  }
  return facts;
}
